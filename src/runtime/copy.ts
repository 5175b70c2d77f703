/**
 * The predecessor's copying: which sessions the successor knows, and what has changed of them since. Everything that costs
 * by the session happens here while the clients are served; what is dirty is kept as a set, so that the freeze walks through
 * the clean ones with two cheap questions each.
 */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import { type Accept, type CapturedState, type Copy, type CopyLimits, type Part, Refusal } from '../transfer/types.js'
import type { ReasonFields, RefusalFields } from '../wire/fields.js'
import { MAX_BATCH, MAX_UPDATE, type SessionRecord, type SessionUpdate } from '../wire/session-record.js'
import { captureChange, captureOne, describeOne, freezeOne, type Known } from './capture.js'
import { Convergence } from './convergence.js'
import { Following } from './follow.js'
import { Frozen } from './frozen.js'
import type { HookList } from './hooks.js'
import { Plans } from './plans.js'
import type { Entry, Follower, Kind, Sessions } from './sessions.js'
import { StateCopy } from './state-copy.js'
import type { States } from './states.js'
import { type Stay, summary } from './stay.js'
import type { Description, Freeze, Transport } from './transport.js'

/** A slice of capturing, between two turns of the loop. */
const SLICE_MS = 0.5
/** A part is sent when it holds this much, however few its sessions. */
const PART_BYTES = 1024 * 1024
/** In the freeze parts are smaller: the successor takes one while the next is captured. Of those it waits for first, the smallest. */
const FIRST_UPDATE = 16
const FREEZE_UPDATE = 128
/** Of an independent kind so many move in the freeze, so that a release that cannot restore it is refused before commit. */
const SAMPLE = 16

export class SessionCopy implements Copy, Follower {
  readonly #notes: ReasonFields[] = []
  readonly #sessions: Sessions
  readonly #states: StateCopy
  readonly #transport: Transport
  readonly #hooks: HookList
  readonly #accept: Accept
  readonly #limits: CopyLimits
  readonly #report: () => void
  readonly #isMovable: boolean
  readonly #convergence: Convergence
  readonly #unfollow: () => void = () => undefined
  readonly #plans: Plans
  readonly #frozen = new Frozen()
  /** Why sessions stay behind. */
  readonly #stays = new Map<Socket, Stay>()
  /** In the order they were opened. */
  readonly #known = new Map<Socket, Known>()
  /** Not sent yet. */
  readonly #fresh = new Map<Socket, { kind: Kind; entry: Entry }>()
  /** Those of them that were there when the round began, the first at the end: others may come for ever. */
  #due: Socket[] = []
  /** Used or touched since they were sent. */
  readonly #dirty = new Set<Socket>()
  /** Will change without being used. */
  readonly #unsettled = new Set<Socket>()
  /** Captured, or captured once more, in the freeze whatever happens to them. */
  readonly #late = new Set<Socket>()
  readonly #gone: number[] = []
  /** Taken from its end: the first comes last. */
  #round: Socket[] = []
  #freeze: Freeze | undefined

  /** @param report called when there are others than before: should this process end, its supervisor is to know how many it had. */
  constructor(
    sessions: Sessions,
    states: States,
    transport: Transport,
    hooks: HookList,
    accept: Accept,
    limits: CopyLimits,
    report: () => void,
  ) {
    this.#report = report
    this.#sessions = sessions
    this.#states = new StateCopy(states, accept)
    this.#transport = transport
    this.#hooks = hooks
    this.#accept = accept
    this.#limits = limits
    this.#plans = new Plans(sessions, accept)
    this.#convergence = new Convergence(limits.copyMs)
    this.#isMovable = transport.unsupported() === undefined
    if (!this.#isMovable) return
    for (const kind of sessions.kinds.values())
      for (const [socket, entry] of kind.entries) this.opened(kind, socket, entry)
    this.#takeSamples()
    this.#due = [...this.#fresh.keys()].reverse()
    sessions.follower = this
    // What goes in the freeze anyway, or follows after it, need not be followed: nothing is wrapped for it.
    if (this.#plans.someAreEarly) this.#unfollow = transport.follow((socket) => this.touched(socket))
  }

  opened(kind: Kind, socket: Socket, entry: Entry): void {
    if (!this.#plans.isToFollow(kind)) this.#fresh.set(socket, { kind, entry })
  }

  touched(socket: Socket): void {
    if (this.#known.get(socket)?.isEarly) this.#dirty.add(socket)
  }

  ended(socket: Socket): void {
    const known = this.#known.get(socket)
    if (known !== undefined) this.#gone.push(known.entry.id)
    for (const set of [this.#known, this.#fresh, this.#dirty, this.#late, this.#unsettled, this.#stays])
      set.delete(socket)
  }

  freeze(): void {
    this.#hooks.freeze()
    if (!this.#isMovable) return
    this.#takeSamples()
    const changing = [this.#dirty, this.#unsettled, this.#fresh.keys(), this.#sessions.holds.sockets]
    const some = new Set(changing.flatMap((sockets) => [...sockets]))
    for (const kind of this.#sessions.kinds.values()) {
      const isToFollow = this.#plans.isToFollow(kind)
      for (const socket of this.#plans.areAllAsked(kind) ? [...kind.entries.keys()] : some) {
        const entry = kind.entries.get(socket)
        if (entry === undefined || socket.destroyed || this.#stays.has(socket)) continue
        if (isToFollow && !this.#known.has(socket) && !this.#fresh.has(socket)) continue
        const reason = kind.notNow(socket, entry.session)
        const choice = this.#plans.of(kind).choice
        if (reason === undefined)
          this.#attempt(socket, () => freezeOne(this.#frozen, kind, choice, socket, entry.session))
        else this.#keep(socket, { kind: kind.name, version: choice.version, reason, held: true })
      }
    }
  }

  thaw(): void {
    this.#frozen.thawAll()
    this.#hooks.thaw()
  }

  *states(when: 'copy' | 'freeze'): Iterable<CapturedState> {
    // Before the freeze only kinds that are restored early need them; for all others the one instant is the freeze.
    if (when === 'copy' && !this.#plans.someAreEarly) return
    yield* this.#states.changed()
  }

  next(): Part | undefined {
    const untilMs = nowMs() + SLICE_MS
    const describe = (socket: Socket) => this.#transport.describe(socket)
    for (;;) {
      if (this.#round.length > 0) {
        const changes = this.#changes(describe, untilMs, MAX_UPDATE)
        if (changes.length > 0) return { kind: 'update', changes }
      } else if (this.#due.length > 0) {
        const part = this.#batch(describe, untilMs)
        if (part.records.length > 0) return part
      } else if (!this.#beginRound()) {
        return undefined
      } else if (this.#gone.length > 0) {
        this.#report()
        return this.#goneSome()
      }
    }
  }

  *rest(): Iterable<Part> {
    if (!this.#isMovable) return
    const freeze = this.#transport.beginFreeze()
    this.#freeze = freeze
    const describe = (socket: Socket) => freeze.describe(socket)
    // Those that changed first: they are likely to be used next, and the successor begins while the others are captured.
    yield* this.#updates([...new Set([...this.#dirty, ...this.#unsettled])], describe, FIRST_UPDATE)
    this.#due = [...this.#fresh.keys()].reverse()
    while (this.#due.length > 0) {
      const part = this.#batch(describe, Number.POSITIVE_INFINITY)
      if (part.records.length > 0) yield part
    }
    const late = [...this.#late]
    yield* this.#updates([...late], describe, FREEZE_UPDATE)
    // A capture may have closed another's socket, after it was sent.
    for (const socket of [...this.#dirty, ...late]) if (socket.destroyed) this.ended(socket)
    // Once: every client waits for it.
    if (this.#gone.length > 0) this.#report()
    while (this.#gone.length > 0) yield this.#goneSome()
  }

  #goneSome(): Part {
    return { kind: 'gone', ids: this.#gone.splice(0, MAX_UPDATE) }
  }

  end(): void {
    if (this.#sessions.follower === this) this.#sessions.follower = undefined
    this.#unfollow()
  }

  /** After commit: closes this process' copies. */
  abandonAll(): Socket[] {
    for (const [socket, { kind, entry }] of this.#known) {
      kind.entries.delete(socket)
      this.#freeze?.abandon(socket)
      this.#frozen.moved(kind, socket, entry.session)
    }
    return [...this.#known.keys()]
  }

  get nextId(): number {
    return this.#sessions.idsAfterCommit
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
    return [...this.#notes, ...summary(this.#stays.values())]
  }

  /** After commit: all that has stayed behind. */
  following(mayOpen: () => boolean): Following {
    return new Following(this.#sessions, this.#transport, this.#accept, this.#stays, mayOpen)
  }

  /** Left out of what is sent. The successor, should it have it, is told that it is gone, or has said so itself. */
  #stay(socket: Socket, stay: Stay): void {
    this.#leaveOut(socket)
    this.#stays.set(socket, stay)
    this.#frozen.thaw(socket)
  }

  /** As `#stay`, for one the successor may have, and does not know about. */
  #keep(socket: Socket, stay: Stay): void {
    const known = this.#known.get(socket)
    if (known !== undefined) this.#gone.push(known.entry.id)
    this.#fresh.delete(socket)
    this.#stay(socket, stay)
  }

  /** Under best-effort a session that cannot be captured stays behind; `undefined` then. Throws Refusal otherwise. */
  #attempt<R>(socket: Socket, run: () => R): R | undefined {
    try {
      return run()
    } catch (error) {
      if (this.#limits.policy !== 'best-effort' || !(error instanceof Refusal)) throw error
      const { count, ...stay } = error.reasons[0] as ReasonFields
      this.#keep(socket, stay)
      return undefined
    }
  }

  /** The first of each independent kind move in the freeze; their sockets are built before, as those of every kind. */
  #takeSamples(): void {
    for (const kind of this.#sessions.kinds.values()) {
      if (!this.#plans.isToFollow(kind)) continue
      let wanted = SAMPLE
      for (const [socket, entry] of kind.entries) {
        if (socket.destroyed) continue
        if (wanted-- === 0) break
        if (!this.#known.has(socket) && !this.#stays.has(socket)) this.#fresh.set(socket, { kind, entry })
      }
    }
  }

  #beginRound(): boolean {
    const left = this.#dirty.size + this.#fresh.size + this.#gone.length
    const verdict = this.#convergence.judge(left)
    if (verdict !== 'again') {
      if (this.#fresh.size > 0) this.#report()
      if (verdict === 'unsettled') this.#noteUnsettled(left)
      return false
    }
    this.#round = [...this.#dirty].reverse()
    this.#dirty.clear()
    this.#due = [...this.#fresh.keys()].reverse()
    return true
  }

  #noteUnsettled(count: number): void {
    const reason = `sessions change faster than they can be copied: ${count} were left to send after ${this.#limits.copyMs} ms or when more rounds did not help`
    if (this.#limits.unsettled === 'refuse') throw new Refusal([{ reason, count }])
    this.#notes.push({ reason: `${reason}; they were sent in the freeze`, count })
  }

  #batch(describe: (socket: Socket) => Description, untilMs: number): Part & { kind: 'batch' } {
    const isFinal = this.#freeze !== undefined
    const records: SessionRecord[] = []
    const descriptors: number[] = []
    const sockets: Socket[] = []
    let size = 0
    for (let socket = this.#due.pop(); socket !== undefined; socket = this.#due.pop()) {
      const fresh = this.#fresh.get(socket)
      this.#fresh.delete(socket)
      if (fresh === undefined || socket.destroyed) continue
      const { kind, entry } = fresh
      const { choice, index, isEarly } = this.#plans.of(kind)
      const { definition } = kind
      const captured = this.#attempt(socket, () => ({
        // Unless it is restored early a session is captured, and restored, at the one instant only.
        envelope:
          isFinal || isEarly
            ? captureOne(kind.name, choice, definition, () => definition.capture(socket, entry.session))
            : undefined,
        // After capture, which may read, write and pause.
        description: describeOne(describe, socket, choice),
      }))
      if (captured === undefined) continue
      const { envelope } = captured
      const { descriptor, described, bytes } = captured.description
      records.push([entry.id, index, envelope?.bytes ?? null, envelope?.checksum ?? 0, described])
      descriptors.push(descriptor)
      sockets.push(socket)
      this.#known.set(socket, { kind, entry, choice, isEarly, checksum: envelope?.checksum })
      if (!isFinal) {
        if (!isEarly || definition.precopy?.changes !== 'touch') this.#late.add(socket)
        if (isEarly) this.#followSettling(socket, kind, entry)
      }
      size += bytes + (envelope?.bytes.length ?? 0)
      if (records.length === MAX_BATCH || size >= PART_BYTES || nowMs() >= untilMs) break
    }
    return { kind: 'batch', ...this.#still(sockets, records, descriptors) }
  }

  /** What the app closed while another was captured is left out: the number of its descriptor may be another file's by now. */
  #still(
    sockets: readonly Socket[],
    records: SessionRecord[],
    descriptors: number[],
  ): { records: SessionRecord[]; descriptors: number[] } {
    if (sockets.every((socket) => !socket.destroyed)) return { records, descriptors }
    const isStill = (_: unknown, index: number) => !sockets[index]!.destroyed
    for (const socket of sockets) if (socket.destroyed) this.#leaveOut(socket)
    return { records: records.filter(isStill), descriptors: descriptors.filter(isStill) }
  }

  #leaveOut(socket: Socket): void {
    for (const set of [this.#known, this.#dirty, this.#late, this.#unsettled]) set.delete(socket)
  }

  *#updates(sockets: Socket[], describe: (socket: Socket) => Description, most: number): Iterable<Part> {
    this.#round = sockets.reverse()
    while (this.#round.length > 0) {
      const changes = this.#changes(describe, Number.POSITIVE_INFINITY, most)
      if (changes.length > 0) yield { kind: 'update', changes }
    }
  }

  /** Captures what is due in this round again; empty when nothing has changed after all. */
  #changes(describe: (socket: Socket) => Description, untilMs: number, most: number): SessionUpdate[] {
    const isFinal = this.#freeze !== undefined
    const changes: SessionUpdate[] = []
    let size = 0
    for (let socket = this.#round.pop(); socket !== undefined; socket = this.#round.pop()) {
      const known = this.#known.get(socket)
      if (known === undefined) continue
      if (socket.destroyed) {
        // Ended already, only its 'close' is still to come: too late for a freeze.
        if (isFinal) this.ended(socket)
        continue
      }
      const change = this.#attempt(socket, () => this.#change(socket, known, describe, isFinal))
      if (change !== undefined) {
        changes.push(change.update)
        size += change.bytes
      }
      if (changes.length === most || size >= PART_BYTES || nowMs() >= untilMs) break
    }
    return changes
  }

  #change(
    socket: Socket,
    known: Known,
    describe: (socket: Socket) => Description,
    isFinal: boolean,
  ): ReturnType<typeof captureChange> {
    const isBare = known.checksum === undefined
    // A clean session that is only captured to be compared is not described again.
    const isUsed = !isFinal || isBare || this.#dirty.has(socket) || this.#unsettled.has(socket)
    const change = captureChange(socket, known, describe, isFinal || known.isEarly, isUsed)
    this.#dirty.delete(socket)
    if (isFinal) this.#late.delete(socket)
    else if (known.isEarly) this.#followSettling(socket, known.kind, known.entry)
    return change
  }

  #followSettling(socket: Socket, kind: Kind, { session }: Entry): void {
    const isUnsettled = this.#transport.isUnsettled(socket) || kind.notNow(socket, session) !== undefined
    if (isUnsettled) this.#unsettled.add(socket)
    else this.#unsettled.delete(socket)
  }
}
