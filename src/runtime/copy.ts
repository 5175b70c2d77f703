/**
 * The predecessor's copying: which sessions the successor knows, and what has changed of them since. Everything that costs
 * by the session happens here while the clients are served; what is dirty is kept as a set, so that the freeze walks through
 * the clean ones with two cheap questions each.
 */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import { type Accept, type CapturedState, type Choice, type Copy, type Part, Refusal } from '../transfer/types.js'
import type { ReasonFields, RefusalFields } from '../wire/fields.js'
import { MAX_BATCH, MAX_UPDATE, type SessionRecord, type SessionUpdate } from '../wire/session-record.js'
import { captureOne, checkChoice, chosenFor, describeOne } from './capture.js'
import { Following, type Stay, summary } from './follow.js'
import type { Entry, Follower, Kind, Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Description, Freeze, Transport } from './transport.js'

/** A slice of capturing, between two turns of the loop. */
const SLICE_MS = 0.5
/** A part is sent when it holds this much, however few its sessions. */
const PART_BYTES = 1024 * 1024
/** Few enough to go in the freeze. */
const LITTLE = 64
/** After so many rounds, or so long, the freeze comes whatever is dirty: more rounds would not get ahead of the load. */
const MAX_ROUNDS = 8
const MAX_COPY_MS = 20_000
/** Of an independent kind so many move in the freeze, so that a release that cannot restore it is refused before commit. */
const SAMPLE = 16

interface Known {
  readonly kind: Kind
  readonly entry: Entry
  readonly choice: Choice
  /** Restored while it is served. */
  readonly isEarly: boolean
  /** Of the state the successor has; undefined while it has none. */
  checksum: number | undefined
  stamp: number
}

export class SessionCopy implements Copy, Follower {
  readonly #sessions: Sessions
  readonly #states: States
  readonly #transport: Transport
  readonly #accept: Accept
  readonly #isMovable: boolean
  readonly #isBestEffort: boolean
  /** Why sessions stay behind. */
  readonly #stays = new Map<Socket, Stay>()
  readonly #begunMs = nowMs()
  /** In the order they were opened. */
  readonly #known = new Map<Socket, Known>()
  readonly #fresh = new Map<Socket, { kind: Kind; entry: Entry }>()
  /** Those of them that were there when the round began: others may come for ever. */
  readonly #due = new Set<Socket>()
  readonly #dirty = new Set<Socket>()
  readonly #gone: number[] = []
  readonly #stateChecksums = new Map<string, number>()
  /** Taken from its end: the first comes last. */
  #round: Socket[] = []
  #rounds = 0
  #freeze: Freeze | undefined

  constructor(sessions: Sessions, states: States, transport: Transport, accept: Accept, isBestEffort: boolean) {
    this.#sessions = sessions
    this.#states = states
    this.#transport = transport
    this.#accept = accept
    this.#isBestEffort = isBestEffort
    this.#isMovable = transport.unsupported() === undefined
    if (!this.#isMovable) return
    for (const kind of sessions.kinds.values())
      for (const [socket, entry] of kind.entries) {
        this.opened(kind, socket, entry)
        if (this.#fresh.has(socket)) this.#due.add(socket)
      }
    sessions.follower = this
  }

  opened(kind: Kind, socket: Socket, entry: Entry): void {
    if (!this.#isToFollow(kind)) this.#fresh.set(socket, { kind, entry })
  }

  touched(socket: Socket): void {
    if (this.#known.has(socket)) this.#dirty.add(socket)
  }

  ended(socket: Socket): void {
    const known = this.#known.get(socket)
    if (known !== undefined) this.#gone.push(known.entry.id)
    this.#known.delete(socket)
    this.#fresh.delete(socket)
    this.#due.delete(socket)
    this.#dirty.delete(socket)
    this.#stays.delete(socket)
    // It may have left, and live on.
    this.#transport.unwatch(socket)
  }

  *states(when: 'copy' | 'freeze'): Iterable<CapturedState> {
    // Before the freeze only kinds that are restored early need them; for all others the one instant is the freeze.
    if (when === 'copy' && ![...this.#sessions.kinds.values()].some((kind) => this.#isEarly(kind))) return
    for (const choice of this.#accept.states) {
      const definition = this.#states.definitions.get(choice.name)
      if (definition === undefined) continue
      checkChoice('shared state', choice, definition)
      const envelope = captureOne(`shared state ${choice.name}`, choice, definition, () => definition.capture())
      if (this.#stateChecksums.get(choice.name) === envelope.checksum) continue
      this.#stateChecksums.set(choice.name, envelope.checksum)
      yield { name: choice.name, ...envelope }
    }
  }

  next(): Part | undefined {
    const untilMs = nowMs() + SLICE_MS
    const describe = (socket: Socket) => this.#transport.describe(socket)
    for (;;) {
      if (this.#round.length > 0) {
        const changes = this.#changes(describe, untilMs)
        if (changes.length > 0) return { kind: 'update', changes }
      } else if (this.#due.size > 0) {
        const part = this.#batch(describe, untilMs)
        if (part.records.length > 0) return part
      } else if (!this.#beginRound()) {
        return undefined
      } else if (this.#gone.length > 0) {
        return { kind: 'gone', ids: this.#gone.splice(0, MAX_UPDATE) }
      }
    }
  }

  *rest(): Iterable<Part> {
    if (!this.#isMovable) return
    const freeze = this.#transport.beginFreeze()
    this.#freeze = freeze
    const describe = (socket: Socket) => freeze.describe(socket)
    this.#takeSamples()
    while (this.#fresh.size > 0) {
      const part = this.#batch(describe, Number.POSITIVE_INFINITY)
      if (part.records.length > 0) yield part
    }
    this.#round = [...this.#stale()].reverse()
    while (this.#round.length > 0) {
      const changes = this.#changes(describe, Number.POSITIVE_INFINITY)
      if (changes.length > 0) yield { kind: 'update', changes }
    }
    while (this.#gone.length > 0) yield { kind: 'gone', ids: this.#gone.splice(0, MAX_UPDATE) }
  }

  end(): void {
    if (this.#sessions.follower === this) this.#sessions.follower = undefined
    for (const socket of this.#known.keys()) this.#transport.unwatch(socket)
  }

  /** After commit: closes this process' copies. */
  abandonAll(): Socket[] {
    const moved = [...this.#known.keys()]
    for (const socket of moved) this.#freeze?.abandon(socket)
    return moved
  }

  get nextId(): number {
    return this.#sessions.nextId
  }

  refused(refusals: readonly RefusalFields[]): void {
    if (refusals.length === 0) return
    const stays = new Map(refusals.map(({ id, ...stay }) => [id, stay]))
    for (const [socket, { entry }] of this.#known) {
      const stay = stays.get(entry.id)
      if (stay !== undefined) this.#stay(socket, stay)
    }
  }

  reasons(): ReasonFields[] {
    return summary(this.#stays.values())
  }

  /** After commit: all that has stayed behind. */
  following(): Following {
    return new Following(this.#sessions, this.#transport, this.#accept, this.#stays)
  }

  /** Left out of what is sent. The successor, should it have it, is told that it is gone, or has said so itself. */
  #stay(socket: Socket, stay: Stay): void {
    this.#known.delete(socket)
    this.#dirty.delete(socket)
    this.#transport.unwatch(socket)
    this.#stays.set(socket, stay)
  }

  /** Under best-effort a session that cannot be captured stays behind; `undefined` then. Throws Refusal otherwise. */
  #attempt<R>(socket: Socket, run: () => R): R | undefined {
    try {
      return run()
    } catch (error) {
      if (!this.#isBestEffort || !(error instanceof Refusal)) throw error
      const { count, ...stay } = error.reasons[0] as ReasonFields
      const known = this.#known.get(socket)
      if (known !== undefined) this.#gone.push(known.entry.id)
      this.#stay(socket, stay)
      return undefined
    }
  }

  #isToFollow({ definition }: Kind): boolean {
    return definition.independent === true && this.#accept.follows === true
  }

  #takeSamples(): void {
    for (const kind of this.#sessions.kinds.values()) {
      if (!this.#isToFollow(kind)) continue
      let wanted = SAMPLE
      for (const [socket, entry] of kind.entries) {
        if (socket.destroyed) continue
        if (wanted-- === 0) break
        this.#fresh.set(socket, { kind, entry })
      }
    }
  }

  /** In the freeze: those of which the successor does not have the newest. */
  *#stale(): Iterable<Socket> {
    const transport = this.#transport
    for (const [socket, { kind, checksum, stamp }] of this.#known) {
      // Ended already, only its 'close' is still to come.
      if (socket.destroyed) this.ended(socket)
      else if (
        checksum === undefined ||
        kind.definition.precopy?.changes !== 'touch' ||
        this.#dirty.has(socket) ||
        transport.isBuffering(socket) ||
        transport.stamp(socket) !== stamp
      )
        yield socket
    }
  }

  /** Both sides must follow changes: a successor that cannot would keep what it was given first. */
  #isEarly({ name, definition }: Kind): boolean {
    if (definition.precopy === undefined) return false
    return this.#accept.sessions.some((choice) => choice.name === name && choice.early === true)
  }

  #beginRound(): boolean {
    const isLate = this.#rounds >= MAX_ROUNDS || nowMs() - this.#begunMs > MAX_COPY_MS
    if (this.#dirty.size + this.#fresh.size + this.#gone.length <= LITTLE || isLate) return false
    this.#rounds++
    this.#round = [...this.#dirty].reverse()
    this.#dirty.clear()
    for (const socket of this.#fresh.keys()) this.#due.add(socket)
    return true
  }

  #batch(describe: (socket: Socket) => Description, untilMs: number): Part & { kind: 'batch' } {
    const isFinal = this.#freeze !== undefined
    const records: SessionRecord[] = []
    const descriptors: number[] = []
    let size = 0
    const kinds = [...this.#sessions.kinds.values()]
    for (const [socket, { kind, entry }] of this.#fresh) {
      this.#fresh.delete(socket)
      this.#due.delete(socket)
      if (socket.destroyed) continue
      const choice = chosenFor(kind, this.#accept)
      const { definition } = kind
      const isEarly = this.#isEarly(kind)
      const captured = this.#attempt(socket, () => ({
        description: describeOne(describe, socket, choice),
        // Unless it is restored early a session is captured, and restored, at the one instant only.
        envelope:
          isFinal || isEarly
            ? captureOne(kind.name, choice, definition, () => definition.capture(socket, entry.session))
            : undefined,
      }))
      if (captured === undefined) continue
      const { envelope } = captured
      const { descriptor, described, bytes } = captured.description
      records.push([entry.id, kinds.indexOf(kind), envelope?.bytes ?? null, envelope?.checksum ?? 0, described])
      descriptors.push(descriptor)
      this.#known.set(socket, {
        kind,
        entry,
        choice,
        isEarly,
        checksum: envelope?.checksum,
        stamp: this.#transport.stamp(socket),
      })
      if (!isFinal && isEarly) this.#transport.watch(socket, () => this.#dirty.add(socket))
      size += bytes + (envelope?.bytes.length ?? 0)
      if (records.length === MAX_BATCH || size >= PART_BYTES || nowMs() >= untilMs) break
    }
    return { kind: 'batch', records, descriptors }
  }

  /** Captures what is due in this round again; empty when nothing has changed after all. */
  #changes(describe: (socket: Socket) => Description, untilMs: number): SessionUpdate[] {
    const isFinal = this.#freeze !== undefined
    const changes: SessionUpdate[] = []
    let size = 0
    for (let socket = this.#round.pop(); socket !== undefined; socket = this.#round.pop()) {
      const known = this.#known.get(socket)
      if (known === undefined || socket.destroyed) continue
      const change = this.#attempt(socket, () => this.#change(socket, known, describe, isFinal))
      if (change !== undefined) {
        changes.push(change.update)
        size += change.bytes
      }
      if (changes.length === MAX_UPDATE || size >= PART_BYTES || nowMs() >= untilMs) break
    }
    return changes
  }

  #change(
    socket: Socket,
    known: Known,
    describe: (socket: Socket) => Description,
    isFinal: boolean,
  ): { update: SessionUpdate; bytes: number } | undefined {
    const { kind, entry, choice, isEarly } = known
    const { definition } = kind
    const stamp = this.#transport.stamp(socket)
    const isSocketStale =
      known.checksum === undefined ||
      this.#dirty.has(socket) ||
      stamp !== known.stamp ||
      this.#transport.isBuffering(socket)
    const description = isFinal && !isSocketStale ? undefined : describeOne(describe, socket, choice)
    known.stamp = stamp
    let state: SessionUpdate[1] = null
    let checksum = 0
    if (isFinal || isEarly) {
      const envelope = captureOne(kind.name, choice, definition, () => definition.capture(socket, entry.session))
      if (envelope.checksum !== known.checksum) {
        known.checksum = envelope.checksum
        state = envelope.bytes
        checksum = envelope.checksum
      }
    }
    if (state === null && description === undefined) return undefined
    return {
      update: [entry.id, state, checksum, description?.described ?? null],
      bytes: (state?.length ?? 0) + (description?.bytes ?? 0),
    }
  }
}
