/** One process of a release, or a program of several: its channel, what it has said. Knows nothing of the others. */
import { EventEmitter, once } from 'node:events'
import { closeAll } from '../sys/channel.js'
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import { type CONTROL, type ControlMessage, PROTOCOL_RANGE, PROTOCOL_VERSION } from '../wire/messages.js'
import type { Notification, NotifySocket } from './notify.js'
import type { Origin } from './origin.js'
import type { GenerationEvents, GenerationState, Identity, Said, Status } from './process-words.js'
import type { Processes } from './processes.js'
import { Readiness } from './readiness.js'
import { describeRelease, programOf, type Release } from './release.js'
import type { Side } from './result.js'

export class Generation extends EventEmitter<GenerationEvents> {
  readonly number: number
  /** Which of those that serve side by side, from 0. */
  readonly worker: number
  /** How many of them there were to be when it was started. */
  readonly workers: number
  readonly start: number
  readonly release: Release
  /** A supervisor before this one has started it. */
  readonly isAdopted: boolean
  startedAtMs = nowMs()
  /** The NOTIFY_SOCKET it was started with. */
  readonly notifySocket: string
  state: GenerationState = 'starting'
  /** When its drain is over (nowMs); undefined before it drains. */
  drainUntilMs: number | undefined
  /** All that it served has a successor: its end is no loss of theirs. */
  hasHandedOver = false
  /** What it last said it serves. */
  lastStatus: Status | undefined
  /** How the process ended, in words; undefined while it lives. */
  ending: string | undefined
  /** Its last STATUS= or ERRNO=, in words, and what was not listened to on NOTIFY_SOCKET. */
  saying: string | undefined
  /** Until when (nowMs) it has asked for more time to start, or to end. */
  extendedUntilMs = 0
  /** Undefined when it could not be started, and from its end on. */
  #processes: Processes | undefined
  /** Undefined when it is not asked to join, or has said READY=1 instead. */
  #link: Link<typeof CONTROL> | undefined
  #notify: NotifySocket | undefined
  #readiness: Readiness | undefined
  readonly #role: 'first' | 'successor'
  readonly #answers = new Map<number, (status: Status) => void>()
  #pid: number | undefined
  #hello: Said<'hello'> | undefined
  #nextRequest = 1
  #isToldToStop = false
  #states: readonly string[] = []

  /** Throws what its origin does. A program that cannot be started is gone in the next turn. */
  constructor(
    { number, worker, workers, start }: Identity,
    release: Release,
    role: 'first' | 'successor',
    origin: Origin,
  ) {
    super()
    // Each request that waits for an answer waits for the end, too; there is no bound of ten to either.
    this.setMaxListeners(0)
    this.number = number
    this.worker = worker
    this.start = start
    this.workers = workers
    this.release = release
    this.#role = role
    const { processes, link, notify, address, isNew } = origin({
      onNotification: (said, sender) => this.#onNotification(said, sender),
      onGone: (ending) => this.#gone(ending),
    })
    this.#processes = processes
    this.#pid = processes?.startedPid
    this.#link = link
    this.#notify = notify
    this.notifySocket = address
    this.#link?.start({
      onMessage: (message) => this.#onMessage(message),
      onEnd: (error) => this.#onChannelEnd(error?.message),
    })
    this.isAdopted = !isNew
    if (processes === undefined || this.isAdopted) return
    this.#readiness = new Readiness({
      when: release.ready ?? 'auto',
      settleMs: release.settleMs,
      family: () => this.#processes?.family() ?? [],
      onReady: () => this.#becomeReady(),
    })
  }

  get side(): Side {
    const named = this.#isProgram ? describeRelease(this.release).slice(0, 128) : programOf(this.release).args[0]
    return {
      generation: this.number,
      release: this.#hello?.release ?? named ?? '',
      node: this.#hello?.node ?? '',
      pid: this.#hello?.pid ?? this.#processes?.pid ?? this.#pid ?? null,
    }
  }

  /** It speaks with the supervisor: what it serves can be moved. False of a program that knows nothing of that. */
  get joins(): boolean {
    return this.#hello !== undefined
  }

  /** Ready without having joined. */
  get #isProgram(): boolean {
    return this.#hello === undefined && this.state !== 'starting'
  }

  /** It knows how to serve what it has to its end, with nobody to take it over. */
  get canRetire(): boolean {
    return this.#hello?.retires === true
  }

  get alive(): boolean {
    return this.ending === undefined
  }

  /** The kernel's word; `alive` follows it when the loop turns. */
  get hasExited(): boolean {
    return this.#processes?.hasExited ?? true
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
    if (this.#processes === undefined) throw new Error(`generation ${this.number} has no process`)
    return this.#processes.pidfd
  }

  /** Of the process that was started, until it is reaped. */
  get startedPid(): number | undefined {
    return this.#processes?.startedPid
  }

  /** Of the same process: with its number it names it for good. */
  get startTime(): string | undefined {
    return this.#processes?.startTime
  }

  /** All its processes that live. */
  family(): number[] {
    return this.#processes?.family() ?? []
  }

  send: Link<typeof CONTROL>['send'] = (kind, fields, descriptors) => this.#link?.send(kind, fields, descriptors)

  /** It is to serve, with nobody to take over from; it says `active` when it does. A program does, as soon as it is ready. */
  activate(): void {
    if (this.joins) this.send('activate', {})
    else if (this.alive) {
      this.state = 'serving'
      this.emit('active', { sessions: 0, pauseMs: null, listeners: [] })
    }
  }

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
      this.send('ask', settled ? { request, settled } : { request })
    })
  }

  /** SIGKILL: to all processes of a program; of a runtime, to it and what it was started by. */
  end(): void {
    if (this.joins) this.#processes?.kill()
    else this.#processes?.sweep()
  }

  /** Its stop signal, once: the second one ends some programs at once. */
  askToStop(): void {
    if (this.#isToldToStop || !this.alive) return
    this.#isToldToStop = true
    this.#processes?.signal(this.release.stopSignal ?? 'SIGTERM')
  }

  /**
   * Its stop signal, and after `graceMs`, or when the time it asks for is over, SIGKILL; resolves when it is gone.
   * @param onDeadline called before SIGKILL.
   */
  async stop(graceMs: number, onDeadline: () => void = () => undefined): Promise<void> {
    if (!this.alive) return
    const gone = once(this, 'exit')
    this.askToStop()
    const untilMs = nowMs() + graceMs
    let timer: NodeJS.Timeout | undefined
    const look = () => {
      const leftMs = Math.max(untilMs, this.extendedUntilMs) - nowMs()
      if (leftMs > 0) timer = setTimeout(look, leftMs)
      else {
        onDeadline()
        this.end()
      }
    }
    look()
    await gone
    clearTimeout(timer)
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (!this.alive) return
    const gone = once(this, 'exit')
    this.end()
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
      case 'unpacked':
        this.emit('unpacked', message.fields)
        return
      case 'packed':
        if (!this.emit('packed', message.fields, message.descriptors[0] as number)) closeAll(message.descriptors)
        return
      case 'status':
        this.lastStatus = message.fields
        this.#answers.get(message.fields.request)?.(message.fields)
        return
      case 'kept':
        if (!this.emit('kept', message.fields, message.descriptors[0] as number)) closeAll(message.descriptors)
        return
      case 'rejoined':
        this.#rejoin(message.fields)
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
    if (this.#processes?.follow(hello.pid, false) !== true) {
      this.#onChannelEnd(
        `it says that it is process ${hello.pid}, which does not descend from the one that was started`,
      )
      return
    }
    this.#hello = hello
    this.#readiness?.close()
    this.send('welcome', {
      protocol: Math.min(max, PROTOCOL_VERSION),
      generation: this.number,
      role: this.#role,
      ...(this.workers === 1 ? {} : { worker: { index: this.worker, count: this.workers } }),
    })
  }

  /** It has had another supervisor until now. */
  #rejoin(said: Said<'rejoined'>): void {
    if (!this.isAdopted || this.state !== 'starting') return
    this.state = ({ waiting: 'ready', serving: 'serving', draining: 'draining' } as const)[said.phase]
    this.#states = said.states.map(({ name }) => name)
    this.emit('rejoined', said)
  }

  /**
   * A runtime that has lost its channel cannot be told anything again, and would serve beside its replacement; a
   * successor would, without being heard, become one. Only a predecessor that drains has heard all it needs.
   */
  #onChannelEnd(why: string | undefined): void {
    this.#link?.close()
    // Whoever never joined has only closed what it did not know.
    if (why === undefined && !this.joins) return
    if (why !== undefined || this.state !== 'draining') this.end()
  }

  /** What its own processes say by sd_notify(3). */
  #onNotification(said: Notification, sender: number | undefined): void {
    const processes = this.#processes
    if (processes === undefined) return
    if (sender === undefined || !processes.holds(sender)) {
      this.saying = `NOTIFY_SOCKET: process ${sender ?? 'of another PID namespace'} has ended, or does not descend from it, and was not listened to`
      return
    }
    if (said.status !== undefined) this.saying = `STATUS=${said.status}`
    if (said.errno !== undefined) this.saying = `ERRNO=${said.errno}`
    if (said.extendMs !== undefined) this.extendedUntilMs = Math.max(this.extendedUntilMs, nowMs() + said.extendMs)
    if (this.joins) return
    if (said.mainPid !== undefined) processes.follow(said.mainPid, true)
    if (!said.ready) return
    // It is one or the other: a process of it that would join from now on hears that there is nobody.
    if (this.#link?.isOpen && this.state === 'starting') this.#link.close()
    this.#readiness?.notified()
  }

  #becomeReady(): void {
    if (!this.alive || this.joins) return
    if (this.state === 'starting') this.state = 'ready'
    this.emit('ready')
  }

  /** @param ending in words, when there never was a process. */
  #gone(ending: string | undefined): void {
    if (this.ending !== undefined) return
    // The end may be heard of before the channel: its last words ("active", "drained") decide what has happened.
    if (this.#link?.isOpen)
      for (let last = this.#link.receiveBefore(nowMs()); 'fields' in last; last = this.#link.receiveBefore(nowMs()))
        this.#onMessage(last)
    this.#readiness?.close()
    // A runtime's own children are its own affair; a program's workers would accept beside their replacements.
    this.ending = this.#processes?.bury(!this.joins) ?? ending ?? 'is gone'
    this.state = 'gone'
    this.#processes = undefined
    this.#link?.close()
    this.#notify?.close()
    this.emit('exit')
  }
}
