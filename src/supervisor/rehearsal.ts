/** Whether another image could be this supervisor: it is started beside it, does all that can be done without taking over, and ends. */
import * as v from 'valibot'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { Channel } from '../sys/channel.js'
import { nowMs } from '../sys/clock.js'
import { Program } from '../sys/program.js'
import { PROTOCOL_RANGE } from '../wire/messages.js'
import { runtimeEnvironment } from './environment.js'
import type { Image } from './image.js'
import { RecordFile } from './record.js'

/** Says on which descriptor it is to answer. */
const REHEARSAL = 'HANDOVER_REHEARSAL'
const DESCRIPTOR = 3

const answer = v.object({
  node: v.string(),
  version: v.string(),
  protocol: v.object({ min: v.number(), max: v.number() }),
})
export type Rehearsed = v.InferOutput<typeof answer>

/** True of a process that is only tried. */
export const isRehearsal = (environment: NodeJS.ProcessEnv): boolean => environment[REHEARSAL] !== undefined

/** In the process that is tried: its addon is loaded, its options are understood, and so must be the record. */
export function answerRehearsal(directory: string, version: string): void {
  if (new RecordFile(directory).read() === undefined) throw new Error(`there is no record in ${directory}`)
  const said: Rehearsed = { node: process.versions.node, version, protocol: PROTOCOL_RANGE }
  binding().send(DESCRIPTOR, Buffer.from(JSON.stringify(said)), [])
}

export class Rehearsal {
  #program: Program | undefined

  /** Of the process that is tried now. */
  get pid(): number | undefined {
    return this.#program?.pid
  }

  cancel(): void {
    this.#program?.sweep()
  }

  /** @throws HandoverError HANDOVER_SUPERVISOR_REFUSED */
  async run({ node, args }: Image, timeoutMs: number): Promise<Rehearsed> {
    const refuse = (why: string): never => {
      throw new HandoverError('HANDOVER_SUPERVISOR_REFUSED', `${[node, ...args].join(' ')}: ${why}`)
    }
    const [ours, theirs] = binding().socketpair()
    const channel = new Channel(ours)
    try {
      const environment = { ...runtimeEnvironment(process.env), [REHEARSAL]: String(DESCRIPTOR) }
      const options = { program: node, args, directory: process.cwd(), environment, namesItself: false }
      const ending = await this.#play({ ...options, descriptors: [theirs] }, timeoutMs).catch((error: unknown) =>
        refuse(`could not be started: ${messageOf(error)}`),
      )
      const packet = channel.receiveBefore(nowMs())
      if (typeof packet === 'string') return refuse(`${ending} before it was known to be able to; the log says why`)
      return v.parse(answer, JSON.parse(packet.bytes.toString('utf8')))
    } finally {
      channel.close()
      binding().close(theirs)
    }
  }

  /** Returns how it ended. */
  async #play(options: ConstructorParameters<typeof Program>[0], timeoutMs: number): Promise<string> {
    let timer: NodeJS.Timeout | undefined
    let isLate = false
    return new Promise<string>((resolve) => {
      const program = new Program(options, () => {
        clearTimeout(timer)
        this.#program = undefined
        const ending = program.reap()
        resolve(isLate ? `did not end within ${timeoutMs} ms` : ending)
      })
      this.#program = program
      timer = setTimeout(() => {
        isLate = true
        program.sweep()
      }, timeoutMs)
    })
  }
}
