/** A runtime: what `join` returns. Ties sessions, states and listeners to the supervisor's words and to the transfer. */
import type { Server, Socket } from 'node:net'
import { HandoverError, messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import { Ballot } from '../sys/ballot.js'
import { nowMs } from '../sys/clock.js'
import type { Ending, Pause, Sink, Source } from '../transfer/types.js'
import type { CONTROL, Fields } from '../wire/messages.js'
import type { Drainer, Host } from './adapter.js'
import type { Control, Told } from './control.js'
import { type DrainOptions, drain } from './drain.js'
import type { Following } from './follow.js'
import { Gives } from './give.js'
import { HookList } from './hooks.js'
import type { AskedSocket } from './listen-options.js'
import { type Endpoint, Listeners } from './listeners.js'
import { allOf, sessionsThatStay, stayOf, whyNotRetire } from './retire.js'
import { Sessions } from './sessions.js'
import { createSink } from './sink.js'
import { createSource } from './source.js'
import { States } from './states.js'
import { type TransferFields, Transfers } from './transfers.js'
import type { Transport } from './transport.js'
import type { Hooks, ListenOptions, SessionDefinition, SessionKind, StateDefinition, Worker } from './types.js'
import { readables } from './versions.js'

/** The `request` of a status nobody has asked for. */
const UNASKED = 0

export class JoinedRuntime implements Host {
  readonly generation: number
  readonly worker: Worker
  readonly #control: Control | undefined
  readonly #transport: Transport
  readonly #logger: Logger | undefined
  readonly #sessions: Sessions
  readonly #states = new States()
  readonly #listeners = new Listeners()
  readonly #hooks = new HookList()
  readonly #retired = new AbortController()
  #phase: 'declaring' | 'waiting' | 'serving' | 'retired' = 'declaring'
  #serving: (() => void) | undefined
  /** What has stayed behind of a transfer from here. */
  #left: Following | undefined
  /** Sessions that have followed into this process. */
  #followed = 0
  readonly #transfers: Transfers
  /** With other processes that serve, beside the transfers. */
  readonly #gives: Gives

  /** @param control undefined: stands alone. */
  constructor(
    control: Control | undefined,
    generation: number,
    transport: Transport,
    logger: Logger | undefined,
    worker: Worker = { index: 0, count: 1 },
  ) {
    this.#control = control
    this.generation = generation
    this.worker = Object.freeze(worker)
    this.#transport = transport
    this.#logger = logger
    this.#sessions = new Sessions(transport)
    this.#transfers = new Transfers({
      source: () => {
        this.#gives.finish()
        return this.#source()
      },
      sink: () => this.#sink(() => undefined, true),
      onEnding: (fields, ending) => this.#onEnding(fields, ending),
      onTruncated: () => this.#onTruncated(),
    })
    this.#gives = new Gives({
      sessions: this.#sessions,
      transport,
      offer: () => this.#source().offer(),
      sink: (onFollowed) => this.#sink(onFollowed, false),
      onLeave: (following, drainMs) => this.#departs(following, drainMs),
      onMoved: (socket) => this.#listeners.connections.delete(socket),
      onGiven: (given) => control?.send('given', given),
      mayOpen: () => this.#mayOpen,
    })
    control?.handle(
      (message) => this.#onTold(message),
      () => this.#onTruncated(),
      (error) => this.#onLost(error),
    )
  }

  get supervised(): boolean {
    return this.#control !== undefined
  }

  get retired(): AbortSignal {
    return this.#retired.signal
  }

  sessions<Session, State>(name: string, definition: SessionDefinition<Session, State>): SessionKind<Session> {
    this.#mustBeDeclaring(`session kind "${name}"`)
    return this.#sessions.declare(name, definition as SessionDefinition<unknown>) as unknown as SessionKind<Session>
  }

  baseSessions<Session, State>(name: string, definition: SessionDefinition<Session, State>): SessionKind<Session> {
    this.#mustBeDeclaring(`session kind "${name}"`)
    return this.#sessions.declare(
      name,
      definition as SessionDefinition<unknown>,
      true,
    ) as unknown as SessionKind<Session>
  }

  hooks(hooks: Hooks): void {
    this.#mustBeDeclaring('hooks()')
    this.#hooks.add(hooks)
  }

  keepConnections(server: Server): void {
    this.#listeners.keepConnections(server)
  }

  drainConnections(server: Server, drainer: Drainer): void {
    this.#mustBeDeclaring('drainConnections()')
    this.#listeners.drainConnections(server, drainer)
  }

  state<State>(name: string, definition: StateDefinition<State>): void {
    this.#mustBeDeclaring(`shared state "${name}"`)
    this.#states.declare(name, definition as StateDefinition)
  }

  optionalState<State>(name: string, definition: StateDefinition<State>): void {
    this.#mustBeDeclaring(`shared state "${name}"`)
    this.#states.declare(name, definition as StateDefinition, true)
  }

  async listen(server: Server, options: ListenOptions): Promise<void> {
    this.#mustBeDeclaring(`listener "${options.name}"`)
    await this.#listeners.listen(this.#control, server, options)
  }

  async keepSocket(asked: AskedSocket, hold: (descriptor: number) => Endpoint): Promise<boolean> {
    this.#mustBeDeclaring(`socket "${asked.name}"`)
    return this.#listeners.keep(this.#control, asked, hold)
  }

  async ready(): Promise<void> {
    this.#mustBeDeclaring('ready')
    if (this.#control === undefined) {
      this.#phase = 'serving'
      this.#hooks.adopted()
      return
    }
    this.#phase = 'waiting'
    const serving = new Promise<void>((resolve) => {
      this.#serving = resolve
    })
    const unsupported = this.#transport.unsupported()
    if (unsupported !== undefined)
      this.#logger?.warn({ missing: unsupported }, 'sessions cannot move on this Node; they will be drained')
    const { kinds } = this.#sessions
    this.#control.send('ready', {
      sessions: readables([...kinds.values()].map(({ name, definition }) => [name, definition])),
      states: readables(this.#states.definitions),
    })
    return serving
  }

  #mustBeDeclaring(what: string): void {
    if (this.#phase === 'declaring') return
    throw new HandoverError(
      'HANDOVER_USAGE',
      `${what} comes after ready(): declare session kinds, states and listeners before it, and call it once`,
    )
  }

  #onTold(message: Told): void {
    switch (message.kind) {
      case 'activate':
        this.#serve(0, null)
        return
      case 'ask':
        void this.#answer(message.fields)
        return
      case 'transfer':
        this.#transfers.begin(message.fields, message.descriptors as [number, number, number])
        return
      case 'retire':
        this.#retireAlone(message.fields)
        return
      case 'group':
        this.#transfers.join(
          message.fields.group,
          new Ballot(...(message.descriptors as [number, number])),
          this.#control as Control,
        )
        return
      case 'give':
        this.#gives.begin(
          message.fields,
          message.descriptors[0] as number,
          this.#phase === 'serving' && !this.#transfers.isGivingAway,
        )
        return
      case 'freeze':
        this.#transfers.freeze(message.fields.group)
        return
    }
  }

  async #answer({ request, settled }: Fields<typeof CONTROL, 'ask'>): Promise<void> {
    if (settled) await Promise.all([this.#transfers.settled, this.#gives.settled()])
    this.#say(request)
  }

  #say(request: number): void {
    this.#control?.send('status', {
      request,
      sessions: [...this.#sessions.kinds.values()].map(({ name, size }) => ({ name, count: size })),
      unregistered: this.#sessions.countOthers(this.#listeners.connections),
      followed: this.#followed,
      following: this.#left?.isUnderWay ?? false,
    })
  }

  #source(): Source {
    return createSource(this.#sessions, this.#states, this.#transport, {
      hooks: this.#hooks,
      onHandedOver: (moved, left) => this.#retire(moved, left),
      report: () => this.#say(UNASKED),
      mayOpen: () => this.#mayOpen,
    })
  }

  #sink(onFollowed: (count: number) => void, keepsIds: boolean): Sink {
    const count = (more: number) => {
      this.#followed += more
      onFollowed(more)
    }
    return createSink(this.#sessions, this.#states, this.#transport, () => this.#goLive(), count, keepsIds)
  }

  get #mayOpen(): boolean {
    return this.#listeners.connections.size > 0
  }

  /** Others serve in its place; what is here goes to one of them. Throws Refusal. */
  #departs(following: Following, drainMs: number): void {
    try {
      this.#hooks.freeze()
    } catch (error) {
      this.#hooks.thaw()
      following.end('it stays')
      this.#sessions.follower = undefined
      throw error
    }
    this.#transfers.finish()
    this.#gives.finishTaking()
    this.#retire([], following)
    this.#control?.send('committed', { moved: 0, phases: [], left: following.size })
    void this.#drain(drainMs)
  }

  #onEnding(fields: TransferFields, ending: Ending): void {
    switch (ending.outcome) {
      case 'active':
        this.#report(ending.sessions, ending.pauseMs)
        return
      case 'committed':
        this.#logger?.info({ moved: ending.moved }, 'handed over')
        this.#control?.send('committed', {
          moved: ending.moved,
          phases: ending.phases,
          reasons: [...ending.reasons],
          left: this.#left?.size ?? 0,
        })
        void this.#drain(fields.drainMs)
        return
      default:
        this.#logger?.warn({ reasons: ending.reasons }, 'transfer aborted')
        this.#control?.send('aborted', { side: fields.side, ...ending })
    }
  }

  #serve(sessions: number, pauseMs: Pause | null): void {
    this.#goLive()
    this.#report(sessions, pauseMs)
  }

  #goLive(): void {
    this.#listeners.activate()
    this.#hooks.adopted()
  }

  #report(sessions: number, pauseMs: Pause | null): void {
    this.#phase = 'serving'
    this.#control?.send('active', { sessions, pauseMs, listeners: this.#listeners.list() })
    this.#control?.unref()
    this.#logger?.info({ generation: this.generation, sessions }, 'serving')
    this.#serving?.()
  }

  /** Everything has been taken over; the event loop has not turned since. */
  #retire(moved: readonly Socket[], left: Following | undefined): void {
    this.#phase = 'retired'
    this.#left = left
    this.#hooks.moved()
    // Abandoned sockets emit no 'close' that would take them out.
    for (const socket of moved) this.#listeners.connections.delete(socket)
    this.#listeners.retire()
    try {
      this.#retired.abort()
    } catch (error) {
      this.#logger?.error({ error: messageOf(error) }, 'a listener of runtime.retired threw')
    }
  }

  /** Nobody takes over: what is open is served to its end here. */
  #retireAlone(fields: Fields<typeof CONTROL, 'retire'>): void {
    const refused = whyNotRetire(fields, this.#sessions, this.#phase === 'serving')
    if (refused !== undefined) {
      this.#control?.send('aborted', { side: 'predecessor', ...refused, phases: [], pauseMs: null })
      return
    }
    this.#transfers.finish()
    const reasons = sessionsThatStay(this.#sessions)
    this.#retire([], undefined)
    this.#control?.send('committed', { moved: 0, phases: [], reasons, left: 0 })
    const open = allOf(this.#listeners.connections, this.#sessions)
    void this.#drain(fields.drainMs, open, { whyHere: (socket) => stayOf(socket, this.#sessions) })
  }

  async #drain(drainMs: number, open = this.#listeners.connections, options: DrainOptions = {}): Promise<void> {
    const untilMs = nowMs() + drainMs
    const drainerOf = (socket: Socket) => this.#listeners.drainerOf(socket)
    const drained = await drain(open, drainMs, this.#left, { drainerOf, ...options })
    // The supervisor ends this process when it hears of it.
    await this.#listeners.flush(Math.max(0, untilMs - nowMs()))
    this.#control?.send('drained', drained)
  }

  /** To end the channel for this would be the end of all that is served here. */
  #onTruncated(): void {
    const side = this.#phase === 'serving' ? 'predecessor' : 'successor'
    const reason = `the ${side} is at its limit of descriptors (RLIMIT_NOFILE) and could not take those of the transfer`
    const reasons = [{ reason, count: 1 }]
    this.#logger?.warn({ reasons }, 'transfer aborted')
    this.#control?.send('aborted', { side, outcome: 'failed', reasons, phases: [], pauseMs: null })
  }

  #onLost(error: HandoverError | undefined): void {
    // The supervisor may die at any time: sessions and listeners go on.
    this.#transfers.lose()
    this.#logger?.warn({ error: error?.message }, 'the supervisor is gone')
  }
}
