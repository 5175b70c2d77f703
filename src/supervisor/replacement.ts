/** Another image in the place of this supervisor's: tried first, then taken, and nobody notices but who asks for its number. */
import { HandoverError, messageOf } from '../errors.js'
import { PROTOCOL_RANGE } from '../wire/messages.js'
import type { Generations } from './generations.js'
import { become, type Carried, type Image } from './image.js'
import type { Listeners } from './listeners.js'
import type { Memory } from './memory.js'
import { Rehearsal } from './rehearsal.js'
import type { Trials } from './trials.js'
import type { Worker } from './worker.js'

export interface ReplacementContext {
  readonly timeoutMs: number
  readonly listeners: Listeners
  readonly generations: Generations
  readonly trials: Trials
  workers(): readonly Worker[]
  memory(): Memory | undefined
  /** @throws HandoverError HANDOVER_BUSY */
  mustBeFree(): void
  remember(): void
}

/** What is not the supervisor's own. */
export type Others = Omit<Carried, 'lock' | 'sockets'>

export class Replacement {
  readonly #context: ReplacementContext
  readonly #rehearsal = new Rehearsal()

  constructor(context: ReplacementContext) {
    this.#context = context
  }

  /** Of the process that is tried now. */
  get pid(): number | undefined {
    return this.#rehearsal.pid
  }

  /**
   * Returns only by throwing; nothing has changed then.
   * @throws HandoverError HANDOVER_BUSY, HANDOVER_SUPERVISOR_REFUSED
   */
  async run(image: Image, others: Others): Promise<never> {
    this.#mustBeWhole()
    const { protocol, node, version } = await this.#rehearsal.run(image, this.#context.timeoutMs)
    if (protocol.min > PROTOCOL_RANGE.max || protocol.max < PROTOCOL_RANGE.min)
      throw new HandoverError(
        'HANDOVER_SUPERVISOR_REFUSED',
        `handover ${version} on Node ${node} speaks protocol ${protocol.min} to ${protocol.max}, and the runtimes ${PROTOCOL_RANGE.min} to ${PROTOCOL_RANGE.max}`,
      )
    const { remember, memory, listeners } = this.#context
    remember()
    // A signal that libuv has taken, and nobody has heard of yet, would be lost.
    await new Promise(setImmediate)
    this.#mustBeWhole()
    const { lock } = memory() as Memory
    try {
      return become(image, { ...others, lock, sockets: listeners.carried() }, process.env)
    } catch (cause) {
      throw new HandoverError('HANDOVER_SUPERVISOR_REFUSED', `${image.node}: ${messageOf(cause)}`, { cause })
    }
  }

  /** There is nothing to be replaced any more. */
  cancel(): void {
    this.#rehearsal.cancel()
  }

  /** Whoever is only starting would be started again, and a trial forgotten. */
  #mustBeWhole(): void {
    const { mustBeFree, workers, trials, memory } = this.#context
    mustBeFree()
    const busy = (what: string): never => {
      throw new HandoverError('HANDOVER_BUSY', what)
    }
    if (memory() === undefined)
      throw new HandoverError('HANDOVER_SUPERVISOR_REFUSED', 'this supervisor has no directory for its record')
    if (trials.current !== null) busy(`upgrade ${trials.current.upgrade} is on probation`)
    const starting = workers().find(({ serving, hasGivenUp }) => serving === undefined && !hasGivenUp)
    if (starting !== undefined) busy(`worker ${starting.index} is being started`)
  }
}
