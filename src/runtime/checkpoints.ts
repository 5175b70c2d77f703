/**
 * What a runtime gives into escrow: a checkpoint of each session, made anew while it is served, whenever it has changed. With
 * each goes how far its connection had come, so that a checkpoint which is not the last word is found out.
 */
import type { Socket } from 'node:net'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Accept, CapturedState, Choice, Copy, Offer, Part, Source } from '../transfer/types.js'
import type { Placed, Position } from '../wire/escrow.js'
import {
  MAX_BATCH,
  MAX_UPDATE,
  type SessionRecord,
  type SessionUpdate,
  type StateBytes,
} from '../wire/session-record.js'
import { captureOne } from './capture.js'
import type { Entry, Follower, Kind, Sessions } from './sessions.js'
import { StateCopy } from './state-copy.js'
import type { States } from './states.js'
import type { Transport } from './transport.js'
import { writableVersions } from './versions.js'

/** Of capturing, between two turns of the loop. */
const SLICE_MS = 0.5

interface Known {
  readonly kind: Kind
  readonly entry: Entry
  /** Of the state, and where the connection was; undefined before the first checkpoint. */
  at: { readonly checksum: number; readonly position: Position } | undefined
}

interface Checkpoint {
  readonly known: Known
  /** The socket's own. */
  readonly descriptor: number
  readonly state: StateBytes
  readonly checksum: number
  readonly placed: Placed
}

/** @param onEnded called when a session has ended: its client waits for the end of the other copy of its socket. */
export function checkpointSource(
  sessions: Sessions,
  states: States,
  transport: Transport,
  onEnded: () => void,
): Source {
  // Only those that may be captured while they are served.
  const kinds = [...sessions.kinds.values()].filter(({ definition }) => definition.precopy !== undefined)
  return {
    offer: (): Offer => ({
      sessions: kinds.map(({ name, definition, size }) => ({
        name,
        writes: writableVersions(definition),
        sessions: size,
      })),
      states: [...states.definitions].map(([name, definition]) => ({
        name,
        writes: writableVersions(definition),
        sessions: 0,
        ...(states.optional.has(name) ? { optional: true } : {}),
      })),
      descriptors: kinds.reduce((sum, { size }) => sum + size, 0),
    }),
    copy: (accept) => new Checkpoints(kinds, sessions, new StateCopy(states, accept), accept, transport, onEnded),
    handOver: () => undefined,
  }
}

class Checkpoints implements Copy, Follower {
  readonly nextId = 0
  readonly #kinds: readonly Kind[]
  readonly #choices: readonly (Choice | undefined)[]
  readonly #sessions: Sessions
  readonly #states: StateCopy
  readonly #transport: Transport
  readonly #onEnded: () => void
  readonly #unfollow: () => void
  readonly #known = new Map<Socket, Known>()
  readonly #dirty = new Set<Socket>()
  readonly #gone: number[] = []
  /** To be captured in this round, the first at the end: those that have no checkpoint, and those that have one. */
  #first: Socket[] = []
  #later: Socket[] = []

  constructor(
    kinds: readonly Kind[],
    sessions: Sessions,
    states: StateCopy,
    accept: Accept,
    transport: Transport,
    onEnded: () => void,
  ) {
    this.#kinds = kinds
    this.#choices = kinds.map(({ name }) => accept.sessions.find((choice) => choice.name === name))
    this.#sessions = sessions
    this.#states = states
    this.#transport = transport
    this.#onEnded = onEnded
    for (const kind of kinds) for (const [socket, entry] of kind.entries) this.opened(kind, socket, entry)
    sessions.follower = this
    this.#unfollow = transport.follow((socket) => this.touched(socket))
    this.again()
  }

  opened(kind: Kind, socket: Socket, entry: Entry): void {
    if (this.#choices[this.#kinds.indexOf(kind)] === undefined) return
    this.#known.set(socket, { kind, entry, at: undefined })
    this.#dirty.add(socket)
  }

  touched(socket: Socket): void {
    if (this.#known.has(socket)) this.#dirty.add(socket)
  }

  ended(socket: Socket): void {
    const known = this.#known.get(socket)
    this.#known.delete(socket)
    this.#dirty.delete(socket)
    if (known?.at === undefined) return
    this.#gone.push(known.entry.id)
    this.#onEnded()
  }

  *states(): Iterable<CapturedState> {
    yield* this.#states.changed()
  }

  /** A round begins: all that may have changed by now. */
  again(): void {
    for (const [socket, { kind }] of this.#known)
      if (kind.definition.precopy?.changes === 'compare') this.#dirty.add(socket)
    const round = [...this.#dirty].reverse()
    this.#dirty.clear()
    this.#first = round.filter((socket) => this.#known.get(socket)?.at === undefined)
    this.#later = round.filter((socket) => this.#known.get(socket)?.at !== undefined)
  }

  next(): Part | undefined {
    const untilMs = nowMs() + SLICE_MS
    // Before a batch: an id that has gone may come again.
    if (this.#gone.length > 0) return { kind: 'gone', ids: this.#gone.splice(0, MAX_UPDATE) }
    if (this.#first.length > 0) {
      const taken = this.#take(this.#first, MAX_BATCH, untilMs)
      const records = taken.map(
        ({ known, state, checksum, placed }): SessionRecord => [
          known.entry.id,
          this.#kinds.indexOf(known.kind),
          state,
          checksum,
          placed,
        ],
      )
      if (taken.length > 0) return { kind: 'batch', records, descriptors: taken.map(({ descriptor }) => descriptor) }
    }
    const changes = this.#take(this.#later, MAX_UPDATE, untilMs).map(
      ({ known, state, checksum, placed }): SessionUpdate => [known.entry.id, state, checksum, placed],
    )
    // An empty one: the time is over, and the round is not.
    return changes.length + this.#first.length + this.#later.length === 0 ? undefined : { kind: 'update', changes }
  }

  #take(round: Socket[], most: number, untilMs: number): Checkpoint[] {
    const taken: Checkpoint[] = []
    for (let socket = round.pop(); socket !== undefined; socket = round.pop()) {
      const checkpoint = this.#checkpoint(socket)
      if (checkpoint !== undefined) taken.push(checkpoint)
      if (taken.length === most || nowMs() >= untilMs) break
    }
    return taken
  }

  /** Undefined when there is none to be had now, or it would be the one there is. */
  #checkpoint(socket: Socket): Checkpoint | undefined {
    const known = this.#known.get(socket)
    if (known === undefined || socket.destroyed) return undefined
    const { kind, entry, at } = known
    const { definition, name } = kind
    // What waits in this process is in no checkpoint, and may not be lost.
    if (kind.notNow(socket, entry.session) !== undefined || this.#transport.isUnsettled(socket)) {
      this.#dirty.add(socket)
      return undefined
    }
    try {
      const choice = this.#choices[this.#kinds.indexOf(kind)] as Choice
      const { bytes, checksum } = captureOne(name, choice, definition, () => definition.capture(socket, entry.session))
      // After capture, which may use, or close, the socket.
      if (socket.destroyed || !this.#known.has(socket)) return undefined
      const { descriptor, described } = this.#transport.describe(socket)
      const { read, written } = binding().streamPosition(descriptor)
      if (at?.checksum === checksum && at.position.read === read && at.position.written === written) return undefined
      known.at = { checksum, position: { read, written } }
      const state = at?.checksum === checksum ? null : bytes
      return { known, descriptor, state, checksum: state === null ? 0 : checksum, placed: [described, read, written] }
    } catch {
      // It still connects, is no TCP, or cannot be captured: its former checkpoint, if any, is found out to be too old.
      return undefined
    }
  }

  end(): void {
    if (this.#sessions.follower === this) this.#sessions.follower = undefined
    this.#unfollow()
  }

  rest = (): Iterable<Part> => []
  freeze = (): void => undefined
  refused = (): void => undefined
  reasons = () => []
  thaw = (): void => undefined
}
