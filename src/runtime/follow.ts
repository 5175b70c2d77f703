/**
 * What has stayed behind in the predecessor after commit: sessions of independent kinds, in the order they were opened, and
 * those that could not move at the freeze. The first go once, batch by batch; whoever is refused is tried again at growing
 * intervals, for as long as it is served here.
 */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import type { Accept, Batch, Choice, FollowSource, Pause } from '../transfer/types.js'
import { refusalOf } from '../transfer/types.js'
import type { RefusalFields } from '../wire/fields.js'
import { MAX_MOVE, type SessionRecord } from '../wire/session-record.js'
import { captureOne, describeOne, freezeOne } from './capture.js'
import { Frozen } from './frozen.js'
import type { Entry, Follower, Kind, Sessions } from './sessions.js'
import type { Stay } from './stay.js'
import type { Freeze, Transport } from './transport.js'

/** A batch is closed when it holds this much, or this long has been spent on it: all of it is one pause. */
const BATCH_BYTES = 1024 * 1024
const CAPTURE_MS = 0.5
/** Batches become smaller where they take longer than this, down to LEAST_MOVE sessions. */
const PAUSE_MS = 1.5
const LEAST_MOVE = 4
/** Between two attempts to move what was refused. */
const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 5000

interface Left {
  readonly kind: Kind
  readonly entry: Entry
  readonly choice: Choice
  /** Of its last attempt. */
  stay: Stay | undefined
  /** That was more than "not now": it is tried again in its own time, however often it is touched. */
  isRefused: boolean
}

export class Following implements FollowSource, Follower {
  onStop: () => void = () => undefined
  /** Called when the socket is another process'. */
  onMoved: (socket: Socket) => void = () => undefined
  /** Called when a connection of this process has become a session, which may move. */
  onOpened: (socket: Socket) => void = () => undefined
  /** Called when a session has ended here, or is none any more, and lives on. */
  onEnded: (socket: Socket, stay: Stay) => void = () => undefined
  readonly #sessions: Sessions
  readonly #transport: Transport
  readonly #accept: Accept
  readonly #mayOpen: () => boolean
  readonly #frozen = new Frozen()
  readonly #left = new Map<Socket, Left>()
  /** Those to be tried in this round. */
  #round: Set<Socket>
  #batch: Socket[] = []
  #freeze: Freeze | undefined
  #most = MAX_MOVE
  #retryMs = FIRST_RETRY_MS
  #wake: () => void = () => undefined
  /** Called when nothing is to be tried at once. */
  #onTried: () => void = () => undefined
  #timer: NodeJS.Timeout | undefined
  #ended: string | undefined
  /** The deadline has come: who may is moved whatever it says. */
  #isForced = false
  readonly #forced: Stay[] = []
  #isFirstRound = true
  readonly #pausesMs: number[] = []

  /**
   * @param stays why sessions could not move at the freeze.
   * @param mayOpen whether there are connections here that may become sessions.
   */
  constructor(
    sessions: Sessions,
    transport: Transport,
    accept: Accept,
    stays: ReadonlyMap<Socket, Stay>,
    mayOpen: () => boolean = () => false,
  ) {
    this.#mayOpen = mayOpen
    this.#sessions = sessions
    this.#transport = transport
    this.#accept = accept
    this.#round = new Set()
    for (const kind of sessions.kinds.values()) {
      const choice = this.#choiceOf(kind)
      if (choice === undefined) continue
      for (const [socket, entry] of kind.entries) {
        if (socket.destroyed) continue
        const stay = stays.get(socket)
        this.#left.set(socket, { kind, entry, choice, stay, isRefused: false })
        if (stay === undefined) this.#round.add(socket)
      }
    }
    sessions.follower = this
  }

  /** Some have not been tried yet. Later attempts are for who was refused. */
  get isUnderWay(): boolean {
    return this.#isFirstRound && this.#ended === undefined && this.#left.size > 0
  }

  get size(): number {
    return this.#left.size
  }

  get sockets(): Iterable<Socket> {
    return this.#left.keys()
  }

  has(socket: Socket): boolean {
    return this.#left.has(socket)
  }

  /** Sessions that have followed, and how long each stood still. */
  get followed(): { sessions: number; pauseMs: Pause | null } {
    const pauses = this.#pausesMs.toSorted((a, b) => a - b)
    const at = (share: number) => pauses[Math.min(pauses.length - 1, Math.floor(share * pauses.length))] ?? 0
    return {
      sessions: pauses.length,
      pauseMs: pauses.length === 0 ? null : { p50: at(0.5), p99: at(0.99), max: at(1) },
    }
  }

  /** Why this session has not moved. */
  stayOf(socket: Socket): Stay | undefined {
    const left = this.#left.get(socket)
    if (left === undefined) return undefined
    const { kind, choice, stay } = left
    const why = this.#ended === undefined ? 'it had not followed' : `it had not followed when ${this.#ended}`
    return stay ?? { kind: kind.name, version: choice.version, reason: why }
  }

  next(): Batch | undefined {
    if (this.#round.size === 0) return undefined
    const untilMs = nowMs() + CAPTURE_MS
    const freeze = this.#transport.beginFreeze()
    const kinds = [...this.#sessions.kinds.values()]
    const captured: { socket: Socket; record: SessionRecord; descriptor: number }[] = []
    let size = 0
    this.#freeze = freeze
    for (const socket of this.#round) {
      this.#round.delete(socket)
      const left = this.#left.get(socket)
      // Touched while it was captured: it is in this batch.
      if (left === undefined || socket.destroyed || captured.some((one) => one.socket === socket)) continue
      const { kind, entry, choice } = left
      const { definition, name } = kind
      const reason = kind.mayStay ? kind.notNow(socket, entry.session) : undefined
      if (reason !== undefined && !(this.#isForced && definition.atDeadline === 'move')) {
        left.stay = { kind: name, version: choice.version, reason, held: true }
        left.isRefused = false
        continue
      }
      try {
        freezeOne(this.#frozen, kind, choice, socket, entry.session)
        const { descriptor, described, bytes } = describeOne((one) => freeze.describe(one), socket, choice)
        const state = captureOne(name, choice, definition, () => definition.capture(socket, entry.session))
        const record = [entry.id, kinds.indexOf(kind), state.bytes, state.checksum, described] as const
        captured.push({ socket, record, descriptor })
        size += bytes + state.bytes.length
      } catch (error) {
        this.#stays(socket, left, error)
      }
      if (captured.length >= this.#most || size >= BATCH_BYTES || nowMs() >= untilMs) break
    }
    // What the app closed or took out while another was captured: its descriptor may be another file's by now.
    const batch = captured.filter(({ socket }) => this.#left.has(socket) && !socket.destroyed)
    for (const { socket } of captured) if (!this.#left.has(socket)) this.#frozen.thaw(socket)
    this.#batch = batch.map(({ socket }) => socket)
    if (batch.length === 0) return undefined
    return { records: batch.map(({ record }) => record), descriptors: batch.map(({ descriptor }) => descriptor) }
  }

  due(): Promise<void> | undefined {
    if ((this.#left.size === 0 && !this.#mayOpen()) || this.#ended !== undefined) {
      this.#onTried()
      return undefined
    }
    // Time was up before one could be captured.
    if (this.#round.size > 0) return Promise.resolve()
    this.#isFirstRound = false
    this.#onTried()
    return new Promise((resolve) => {
      this.#wake = resolve
      if (this.#left.size === 0) return
      this.#retryIn(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS)
    })
  }

  moved(refused: readonly RefusalFields[], pauseMs: number): void {
    const isLong = pauseMs > PAUSE_MS
    this.#most = isLong ? Math.max(LEAST_MOVE, this.#most >> 1) : Math.min(MAX_MOVE, this.#most + 1)
    const stays = new Map(refused.map(({ id, ...stay }) => [id, stay]))
    for (const socket of this.#batch) {
      const left = this.#left.get(socket) as Left
      const stay = stays.get(left.entry.id)
      if (stay !== undefined) {
        left.stay = stay
        left.isRefused = true
        this.#frozen.thaw(socket)
        continue
      }
      if (this.#isForced && left.stay !== undefined) this.#forced.push(left.stay)
      this.#left.delete(socket)
      left.kind.entries.delete(socket)
      this.#freeze?.abandon(socket)
      this.#frozen.moved(left.kind, socket, left.entry.session)
      this.#pausesMs.push(pauseMs)
      this.onMoved(socket)
    }
    this.#batch = []
  }

  keep(error: unknown): void {
    for (const socket of this.#batch) this.#stays(socket, this.#left.get(socket) as Left, error)
    this.#batch = []
  }

  end(why: string): void {
    if (this.#ended !== undefined) return
    this.#ended = why
    clearTimeout(this.#timer)
    this.#onTried()
    this.#wake()
  }

  /** The deadline of the drain: kinds that would rather move than be closed do. Resolves when they have, or cannot. */
  async force(): Promise<void> {
    const isWilling = ({ kind }: Left) => kind.definition.atDeadline === 'move'
    const willing = [...this.#left].filter(([, left]) => isWilling(left)).map(([socket]) => socket)
    if (willing.length === 0 || this.#ended !== undefined) return
    this.#isForced = true
    this.#tryNow(willing)
    await new Promise<void>((resolve) => {
      this.#onTried = resolve
    })
  }

  /** Said "not now" until the deadline, and was moved all the same. */
  get forced(): readonly Stay[] {
    return this.#forced
  }

  /** Something that came with an earlier connection: a handshake has ended, an upgrade was asked for. */
  opened(kind: Kind, socket: Socket, entry: Entry): void {
    const choice = this.#choiceOf(kind)
    if (choice === undefined || this.#ended !== undefined) return
    this.#left.set(socket, { kind, entry, choice, stay: undefined, isRefused: false })
    this.onOpened(socket)
    this.#tryNow([socket])
  }

  /** It has changed, and may be movable now. */
  touched(socket: Socket): void {
    const left = this.#left.get(socket)
    if (left?.stay === undefined || this.#ended !== undefined) return
    if (!left.isRefused) {
      this.#tryNow([socket])
      return
    }
    if (this.#timer === undefined) return
    if (this.#retryMs > FIRST_RETRY_MS * 2) this.#retryIn(FIRST_RETRY_MS)
    this.#retryMs = FIRST_RETRY_MS * 2
  }

  #tryNow(sockets: readonly Socket[]): void {
    for (const socket of sockets) this.#round.add(socket)
    this.#wake()
  }

  #choiceOf(kind: Kind): Choice | undefined {
    return this.#accept.sessions.find(({ name }) => name === kind.name)
  }

  ended(socket: Socket): void {
    const stay = this.stayOf(socket)
    if (stay === undefined) return
    this.#left.delete(socket)
    this.#round.delete(socket)
    if (this.#left.size === 0) this.#wake()
    this.onEnded(socket, stay)
  }

  #stays(socket: Socket, left: Left, error: unknown): void {
    const { id, ...stay } = refusalOf(left.entry.id, error)
    left.stay = { kind: left.kind.name, version: left.choice.version, ...stay }
    left.isRefused = true
    this.#frozen.thaw(socket)
  }

  #retryIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#round = new Set(this.#left.keys())
      this.#wake()
    }, ms).unref()
  }
}
