/** A supervisor as its users run it, but for its channels: each goes through a relay of this process. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { AdminAnswer, AdminRequest } from '../../src/supervisor/admin-protocol.js'
import { adminSocketPath } from '../../src/supervisor/directory.js'
import { binding } from '../../src/sys/binding.js'
import { Channel, closeAll, type Packet } from '../../src/sys/channel.js'
import { type ProcessFact, pathsUnder, processesMarked } from '../harness/census.js'
import { cleanEnvironment, compiled } from '../harness/child.js'
import { scaled, until } from '../harness/timeout.js'
import { type Gate, Relay } from './relay.js'
import type { Party } from './steps.js'
import type { Tapped } from './tap-channel.js'
import { signal } from './victims.js'

export const FREEZE_MS = scaled(1_500)
export const CHECK_MS = scaled(2_000)
export const READY_MS = scaled(8_000)
const DRAIN_MS = scaled(2_000)
const COPY_MS = scaled(2_000)

const NAME = 'faults'
const TAP_DESCRIPTOR = 4
export const SERVER = compiled('test/fixtures/stream-server.js')

export type PartyRelay = Relay<Party>

/** What stands between: for the channel of each runtime, by the order of their starts, and for transfers. */
export interface Gates {
  control(runtime: number): Gate<Party>
  transfer(): Gate<Party>
}

const alive = new Set<TappedSupervisor>()

/** Ends all that was started and is still there, at once: for a run that is interrupted. */
export function endAll(): void {
  for (const supervisor of alive) supervisor.end()
}

export class TappedSupervisor {
  readonly pid: number
  /** Processes of the runtimes, in the order they were started. */
  readonly runtimes: number[] = []
  /** A relay for each runtime, in that order. */
  readonly controls: PartyRelay[] = []
  /** The relay of the last transfer. */
  transfer: PartyRelay | undefined
  readonly lines: string[] = []
  readonly errors: unknown[] = []
  readonly directory = mkdtempSync(join(tmpdir(), 'handover-faults-'))
  readonly #mark = randomUUID()
  readonly #tap: Channel
  readonly #relays: PartyRelay[] = []
  readonly #gates: Gates
  /** The successor's end of a transfer whose other end has not been told of. */
  #half: number[] = []
  #hasExited = false

  constructor(command: readonly string[], gates: Gates) {
    this.#gates = gates
    const [ours, theirs] = binding().socketpair()
    this.#tap = new Channel(ours)
    const limits = { freeze: FREEZE_MS, check: CHECK_MS, copy: COPY_MS, drain: DRAIN_MS, 'ready-timeout': READY_MS }
    const options = Object.entries(limits)
    const child = spawn(
      process.execPath,
      [
        ...['--import', compiled('test/faults/tap-channel.js'), compiled('src/cli/main.js')],
        ...['run', '--name', NAME, '--json', ...options.flatMap(([name, ms]) => [`--${name}`, `${ms}ms`])],
        ...['--', ...command],
      ],
      {
        env: cleanEnvironment({
          XDG_RUNTIME_DIR: this.directory,
          HANDOVER_TEST_MARK: this.#mark,
          HANDOVER_FAULTS_TAP: String(TAP_DESCRIPTOR),
        }),
        stdio: ['ignore', 'pipe', 'pipe', 'ignore', theirs],
      },
    )
    binding().close(theirs)
    for (const stream of [child.stdout!, child.stderr!])
      createInterface(stream).on('line', (line) => void this.lines.push(line))
    child.once('exit', () => {
      this.#hasExited = true
    })
    this.pid = child.pid!
    alive.add(this)
    this.#tap.start({
      onPacket: (packet) => this.#onTapped(packet),
      onEnd: (error) => {
        if (error !== undefined) this.errors.push(error)
        // Only one side was told of a transfer: the other one's end went with the supervisor.
        closeAll(this.#half.splice(0))
      },
    })
  }

  get hasExited(): boolean {
    return this.#hasExited
  }

  /** The port, once a runtime has said that it serves. */
  async port(): Promise<number> {
    const said = () => this.lines.find((line) => line.startsWith('ready '))
    await until(
      () => said() !== undefined || this.#hasExited,
      () => `a runtime to be ready:\n${this.lines.join('\n')}`,
    )
    return Number(/port=(\d+)/.exec(said() ?? '')?.[1])
  }

  /** One request on the admin socket; resolves with the result. Throws what the supervisor answers, or that it went away. */
  async request<R>(request: AdminRequest): Promise<R> {
    const path = adminSocketPath(NAME, { XDG_RUNTIME_DIR: this.directory })
    const socket = net.connect(path)
    try {
      socket.write(`${JSON.stringify(request)}\n`)
      for await (const line of createInterface({ input: socket })) {
        const answer = JSON.parse(line) as AdminAnswer
        if ('event' in answer) continue
        if ('result' in answer) return answer.result as R
        throw new Error(`${answer.error.code}: ${answer.error.message}`)
      }
      throw new Error('the supervisor went away before it answered')
    } finally {
      socket.destroy()
    }
  }

  /** The supervisor and all it ever started that is still there. */
  processes(): ProcessFact[] {
    return processesMarked(`HANDOVER_TEST_MARK=${this.#mark}`).filter(({ state }) => state !== 'Z')
  }

  paths(): string[] {
    return pathsUnder(this.directory)
  }

  /** Kills the supervisor and all it started, and removes its folder; waits for nothing. */
  end(): void {
    for (const { pid } of this.processes()) signal(pid, 'SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }

  async dispose(): Promise<void> {
    this.end()
    await until(() => this.#hasExited && this.processes().length === 0, 'the end of all that the supervisor started')
    for (const relay of this.#relays) await relay.dispose()
    this.#tap.close()
    this.end()
    alive.delete(this)
  }

  #onTapped({ bytes, descriptors }: Packet): void {
    const tapped = JSON.parse(bytes.toString()) as Tapped
    const [first, second] = descriptors
    if (tapped.what === 'control') {
      this.runtimes.push(tapped.pid)
      const side = this.runtimes.length === 1 ? 'predecessor' : 'successor'
      const gate = this.#gates.control(this.controls.length)
      this.controls.push(this.#relay([side, first!], ['supervisor', second!], gate))
    } else if (tapped.side === 'successor') {
      // The successor is told first; what is still here was for one that could not be told.
      closeAll(this.#half)
      this.#half = [first!]
    } else {
      const [half] = this.#half.splice(0)
      if (half === undefined) closeAll([first!])
      else this.transfer = this.#relay(['successor', half], ['predecessor', first!], this.#gates.transfer())
    }
  }

  #relay(a: [Party, number], b: [Party, number], gate: Gate<Party>): PartyRelay {
    const relay = new Relay<Party>([a, b], gate, (error) => void this.errors.push(error))
    this.#relays.push(relay)
    return relay
  }
}
