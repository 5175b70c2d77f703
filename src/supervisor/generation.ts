/** One process of a release: its channel, what it has said. Knows nothing of the others. */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { constants } from 'node:os'
import { messageOf } from '../errors.js'
import { binding, POLLIN } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import { Link } from '../sys/link.js'
import { descendsFrom } from '../sys/process-tree.js'
import { CONTROL, type ControlMessage, type Fields, PROTOCOL_RANGE, PROTOCOL_VERSION } from '../wire/messages.js'
import { programOf, type Release, runtimeEnvironment } from './release.js'
import type { Side } from './result.js'

export type GenerationState = 'starting' | 'ready' | 'serving' | 'draining' | 'gone'

type Said<K extends ControlMessage['kind']> = Fields<typeof CONTROL, K>
export type Status = Said<'status'>

export interface GenerationEvents {
  listen: [Said<'listen'>]
  ready: []
  active: [Said<'active'>]
  committed: [Said<'committed'>]
  aborted: [Said<'aborted'>]
  drained: [Said<'drained'>]
  /** Of the transfer with this number, in a group: little is left to copy; the successor has voted. */
  settled: [number]
  given: [Said<'given'>]
  voted: [number]
  /** The process has exited; always the last event. */
  exit: []
}

export interface Identity {
  /** Counts the releases that were started, and restarts: the same for all workers that were started together. */
  readonly number: number
  readonly worker: number
  /** How many serve side by side. */
  readonly workers: number
  /** Counts all processes. */
  readonly start: number
}

/** The descriptor of the channel in the runtime. */
const CHANNEL_DESCRIPTOR = 3

export class Generation extends EventEmitter<GenerationEvents> {
  readonly number: number
  /** Which of those that serve side by side, from 0. */
  readonly worker: number
  readonly start: number
  readonly release: Release
  readonly startedAtMs = nowMs()
  state: GenerationState = 'starting'
  /** When its drain is over (nowMs); undefined before it drains. */
  drainUntilMs: number | undefined
  /** All that it served has a successor: its end is no loss of theirs. */
  hasHandedOver = false
  /** What it last said it serves. */
  lastStatus: Status | undefined
  /** How the process ended, in words; undefined while it lives. */
  ending: string | undefined
  readonly #child: ChildProcess
  readonly #link: Link<typeof CONTROL>
  readonly #role: 'first' | 'successor'
  readonly #workers: number
  readonly #answers = new Map<number, (status: Status) => void>()
  #pidfd: number | undefined
  /** Of the runtime, when it is not the process that was started: `npm start`, a shell, tsx. It is the one to fence. */
  #runtimePidfd: number | undefined
  #hello: Said<'hello'> | undefined
  #nextRequest = 1
  #states: readonly string[] = []

  constructor({ number, worker, workers, start }: Identity, release: Release, role: 'first' | 'successor') {
    super()
    // Each request that waits for an answer waits for the end, too; there is no bound of ten to either.
    this.setMaxListeners(0)
    this.number = number
    this.worker = worker
    this.start = start
    this.#workers = workers
    this.release = release
    this.#role = role
    const [ours, theirs] = binding().socketpair()
    this.#link = new Link(ours, CONTROL, 'runtime')
    const { program, args } = programOf(release)
    try {
      this.#child = spawn(program, args, {
        cwd: release.cwd,
        env: { ...runtimeEnvironment(process.env), HANDOVER_CHANNEL: String(CHANNEL_DESCRIPTOR) },
        stdio: ['ignore', 'inherit', 'inherit', theirs],
      })
    } catch (error) {
      this.#link.close()
      throw error
    } finally {
      binding().close(theirs)
    }
    // Opened before the loop turns: until then even a dead child is not reaped, and its pid is its own.
    if (this.#child.pid !== undefined) this.#pidfd = binding().pidfdOpen(this.#child.pid)
    this.#child.once('error', (error) => this.#gone(messageOf(error)))
    this.#child.once('exit', (code, signal) =>
      this.#gone(signal === null ? `exited with code ${code}` : `was killed by ${signal}`),
    )
    this.#link.start({
      onMessage: (message) => this.#onMessage(message),
      onEnd: (error) => this.#onChannelEnd(error?.message),
    })
  }

  get side(): Side {
    return {
      generation: this.number,
      release: this.#hello?.release ?? programOf(this.release).args[0] ?? '',
      node: this.#hello?.node ?? '',
      pid: this.#hello?.pid ?? this.#child.pid ?? null,
    }
  }

  get alive(): boolean {
    return this.ending === undefined
  }

  /** The kernel's word; `alive` follows it when the loop turns. */
  get hasExited(): boolean {
    return this.#pidfd === undefined || binding().poll([this.#pidfd], [POLLIN], 0)[0] !== 0
  }

  /** Milliseconds until the end of its drain; null when it does not drain. */
  get drainLeftMs(): number | null {
    return this.state === 'draining' && this.drainUntilMs !== undefined
      ? Math.max(0, this.drainUntilMs - nowMs())
      : null
  }

  /** Its successor serves, or has served: it has until then for what could not move. */
  drains(untilMs: number): void {
    this.drainUntilMs = untilMs
    if (this.alive) this.state = 'draining'
  }

  /** Names of the shared state it has. */
  get states(): readonly string[] {
    return this.#states
  }

  /** It knows how several commit together, and how sessions go from one to another. */
  get canGroup(): boolean {
    return this.#hello?.groups === true
  }

  /** For the other side of a transfer. Stays this object's. */
  get pidfd(): number {
    const pidfd = this.#runtimePidfd ?? this.#pidfd
    if (pidfd === undefined) throw new Error(`generation ${this.number} has no process`)
    return pidfd
  }

  send: Link<typeof CONTROL>['send'] = (kind, fields, descriptors) => this.#link.send(kind, fields, descriptors)

  /**
   * Asks the runtime how it is; undefined when it does not answer in time.
   * @param settled it is to answer when no session follows into it any more.
   */
  async ask(timeoutMs: number, settled = false): Promise<Status | undefined> {
    if (!this.alive || this.#hello === undefined) return undefined
    const request = this.#nextRequest++
    return new Promise((resolve) => {
      const give = (status: Status | undefined) => {
        clearTimeout(timer)
        this.removeListener('exit', lost)
        this.#answers.delete(request)
        resolve(status)
      }
      const lost = () => give(undefined)
      const timer = setTimeout(lost, timeoutMs)
      this.once('exit', lost)
      this.#answers.set(request, give)
      this.#link.send('ask', settled ? { request, settled } : { request })
    })
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.alive) return
    // A wrapper passes SIGTERM on, or not; SIGKILL it cannot.
    const pidfds = name === 'SIGKILL' ? [this.#runtimePidfd, this.#pidfd] : [this.#runtimePidfd ?? this.#pidfd]
    for (const pidfd of pidfds) if (pidfd !== undefined) binding().pidfdSignal(pidfd, constants.signals[name])
  }

  /** SIGTERM, and after `graceMs` SIGKILL; resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    if (!this.alive) return
    const gone = once(this, 'exit')
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs)
    await gone
    clearTimeout(timer)
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (!this.alive) return
    const gone = once(this, 'exit')
    this.signal('SIGKILL')
    await gone
  }

  #onMessage(message: ControlMessage): void {
    switch (message.kind) {
      case 'hello':
        this.#welcome(message.fields)
        return
      case 'listen':
        this.emit('listen', message.fields)
        return
      case 'ready':
        if (this.state === 'starting') this.state = 'ready'
        this.#states = message.fields.states.map(({ name }) => name)
        this.emit('ready')
        return
      case 'active':
        this.state = 'serving'
        this.emit('active', message.fields)
        return
      case 'committed':
        this.state = 'draining'
        this.emit('committed', message.fields)
        return
      case 'aborted':
        this.emit('aborted', message.fields)
        return
      case 'drained':
        this.emit('drained', message.fields)
        return
      case 'settled':
      case 'voted':
        this.emit(message.kind, message.fields.group)
        return
      case 'given':
        this.emit('given', message.fields)
        return
      case 'status':
        this.lastStatus = message.fields
        this.#answers.get(message.fields.request)?.(message.fields)
        return
    }
  }

  #welcome(hello: Said<'hello'>): void {
    const { min, max } = hello.protocol
    if (min > PROTOCOL_VERSION || max < PROTOCOL_RANGE.min) {
      this.#onChannelEnd(
        `it speaks protocol ${min} to ${max}, this supervisor ${PROTOCOL_RANGE.min} to ${PROTOCOL_RANGE.max}`,
      )
      return
    }
    if (hello.pid !== this.#child.pid && !this.#follow(hello.pid)) {
      this.#onChannelEnd(
        `it says that it is process ${hello.pid}, which does not descend from the one that was started`,
      )
      return
    }
    this.#hello = hello
    this.#link.send('welcome', {
      protocol: Math.min(max, PROTOCOL_VERSION),
      generation: this.number,
      role: this.#role,
      ...(this.#workers === 1 ? {} : { worker: { index: this.worker, count: this.#workers } }),
    })
  }

  /**
   * A runtime that has lost its channel cannot be told anything again, and would serve beside its replacement; a
   * successor would, without being heard, become one. Only a predecessor that drains has heard all it needs.
   */
  #onChannelEnd(why: string | undefined): void {
    this.#link.close()
    if (why !== undefined || this.state !== 'draining') this.signal('SIGKILL')
  }

  /** The runtime is a descendant of what was started. It lives, since it will say more than hello. */
  #follow(pid: number): boolean {
    try {
      if (!descendsFrom(pid, this.#child.pid)) return false
      this.#runtimePidfd = binding().pidfdOpen(pid)
      return true
    } catch {
      return false
    }
  }

  #gone(ending: string): void {
    if (this.ending !== undefined) return
    // SIGCHLD may be heard before the channel: its last words ("active", "drained") decide what has happened.
    for (let last = this.#link.receiveBefore(nowMs()); 'fields' in last; last = this.#link.receiveBefore(nowMs()))
      this.#onMessage(last)
    this.ending = ending
    this.state = 'gone'
    this.#link.close()
    // What a wrapper leaves behind would serve beside its replacement.
    if (this.#runtimePidfd !== undefined) binding().pidfdSignal(this.#runtimePidfd, constants.signals.SIGKILL)
    for (const pidfd of [this.#pidfd, this.#runtimePidfd]) if (pidfd !== undefined) binding().close(pidfd)
    this.#pidfd = undefined
    this.#runtimePidfd = undefined
    this.emit('exit')
  }
}
