/** What the transaction needs from a runtime: it knows nothing of sockets, sessions or state itself. */
import { messageOf } from '../errors.js'
import type { Ballot } from '../sys/ballot.js'
import { MAX_TEXT, type ReasonFields, type RefusalFields } from '../wire/fields.js'
import type { Fields, TRANSFER } from '../wire/messages.js'
import type { SessionRecord, SessionUpdate } from '../wire/session-record.js'

export type Offer = Omit<Fields<typeof TRANSFER, 'offer'>, 'protocol'>
export type Accept = Omit<Fields<typeof TRANSFER, 'accept'>, 'protocol'>
export type Choice = Fields<typeof TRANSFER, 'accept'>['sessions'][number]
export type Pause = { p50: number; p99: number; max: number }
export type PhaseDuration = { phase: string; durationMs: number }

/** Thrown by a source or a sink: an expected end, with a reason for each thing that stands in the way. */
export class Refusal extends Error {
  readonly reasons: readonly ReasonFields[]

  constructor(reasons: readonly ReasonFields[]) {
    super(reasons.map(({ kind, reason }) => (kind === undefined ? reason : `${kind}: ${reason}`)).join('; '))
    this.reasons = reasons.map((row) => ({ ...row, reason: clip(row.reason) }))
  }
}

/** A part of what is sent: new sessions with their descriptors (which stay the source's), changes, ends. */
export type Part =
  | { readonly kind: 'batch'; readonly records: SessionRecord[]; readonly descriptors: number[] }
  | { readonly kind: 'update'; readonly changes: SessionUpdate[] }
  | { readonly kind: 'gone'; readonly ids: number[] }

export interface CapturedState {
  readonly name: string
  readonly bytes: Uint8Array
  readonly checksum: number
}

/** The predecessor's sessions and states. Whatever captures may throw Refusal. */
export interface Source {
  offer(): Offer
  /** Begins to copy while everything is served: follows what opens, changes and ends from here to `end`. */
  copy(accept: Accept, limits: CopyLimits): Copy
  /**
   * Everything that was sent has been taken over: lets go of it, before the loop turns again. Returns what has stayed behind
   * and may follow. Must not throw.
   */
  handOver(): FollowSource | undefined
}

/** Several pairs that freeze together, and commit all or none. */
export interface Group {
  /** Little is left to copy; to be said once. */
  settled(): void
  /** Resolves with true when it may freeze, with undefined when nobody will say so, and with false after a while: what is new is copied then. */
  mayFreeze(): Promise<boolean | undefined>
  /** The successor has voted; to be said once. */
  voted(): void
  /** It never freezes: shared states are sent again when they have changed, too. */
  readonly isEndless?: boolean
  /** What all decide. */
  readonly ballot: Ballot
}

export interface CopyLimits {
  readonly copyMs: number
  /** What is done when too much is still changing after that time. */
  readonly unsettled: 'freeze' | 'refuse'
  readonly policy: 'all-or-nothing' | 'best-effort'
}

export interface Copy {
  /** The event loop stands still from here on, to `end`: tells the app. Throws Refusal. */
  freeze(): void
  /** Shared states whose newest version has not been sent. */
  states(when: 'copy' | 'freeze'): Iterable<CapturedState>
  /** The next part, captured in about a slice's time; an empty update when it is over; undefined once little is left to send. */
  next(): Part | undefined
  /** It had settled, and the freeze has to wait for others: `next` has parts again until it settles anew. */
  again(): void
  /** In the freeze: all that is new, changed or ended since. */
  rest(): Iterable<Part>
  /** The successor could not take these, and has nothing of them: they stay here, and are not sent again. */
  refused(refusals: readonly RefusalFields[]): void
  /** New sessions of the successor begin here: smaller ids are this process'. */
  readonly nextId: number
  /** What the result of the upgrade is to say: why sessions stay behind, that the copy did not settle. */
  reasons(): ReasonFields[]
  /** Stops following. Must not throw. */
  end(): void
  /** Nothing has moved, and everything goes on here: tells the app, if it was told of the freeze. Must not throw. */
  thaw(): void
}

/** The sessions that stayed behind, in the predecessor after commit. */
export interface FollowSource {
  /** Set by the giver: called when nothing is to move any more. */
  onStop: () => void
  /** Some that may move now, with all that is buffered. The loop stands still from here to `moved` or `keep`. Must not throw. */
  next(): Batch | undefined
  /** Resolves when there may be more; undefined when nothing is left. */
  due(): Promise<void> | undefined
  /** The batch has been taken over, but for those refused: lets go of it. Must not throw. */
  moved(refused: readonly RefusalFields[], pauseMs: number): void
  /** The batch stays, this time. */
  keep(error: unknown): void
  /** Nothing moves any more. */
  end(why: string): void
}

export interface Batch {
  readonly records: SessionRecord[]
  /** Stay the source's. */
  readonly descriptors: number[]
}

/** Where a successor puts what it is given. */
export interface Sink {
  /** Chooses a version for all that is offered. Throws Refusal. */
  choose(offer: Offer): Accept
  /** May come again with a later state. Throws Refusal. */
  restoreState(choice: Choice, bytes: Uint8Array, checksum: number): void
  /** Owns the descriptor in every case. The session is held still. Throws Refusal. */
  adopt(choice: Choice, record: SessionRecord, descriptor: number): void
  /** A session adopted before has changed. Throws Refusal. */
  update(change: SessionUpdate): void
  /** A session adopted before has ended in the predecessor. Throws Refusal. */
  forget(id: number): void
  /** Called before the vote. Throws Refusal when something is missing. Ids of new sessions begin at `nextId`. */
  complete(nextId: number): void
  /** Everything is this process' now: begins to read. `frozenAtMs` is when the predecessor stopped. Must not throw. */
  activate(frozenAtMs: number): { sessions: number; pauseMs: Pause | null }
  /** Closes everything that was adopted, without a byte read or written. Must not throw. */
  discard(): void
  /** After `activate`, for what follows. */
  follow(choiceOf: (kind: number) => Choice | undefined): FollowSink
}

/** Where a successor puts what follows, batch by batch. Nothing here throws. */
export interface FollowSink {
  /** Builds a batch, held still. Owns the descriptors. Returns which it could not; of those nothing is left. */
  take(records: readonly SessionRecord[], descriptors: readonly number[]): RefusalFields[]
  /** The batch is this process' now: begins to read. */
  release(): void
  /** Closes the batch, without a byte read or written. */
  discard(): void
  /** Nothing follows any more. */
  close(): void
}

export interface Deadlines {
  readonly checkMs: number
  readonly freezeMs: number
  readonly drainMs: number
  readonly policy?: 'all-or-nothing' | 'best-effort' | undefined
  readonly copyMs?: number | undefined
  readonly unsettled?: 'freeze' | 'refuse' | undefined
}

/** How a transfer ended for one side. */
export type Ending =
  | {
      readonly outcome: 'committed'
      readonly moved: number
      readonly phases: PhaseDuration[]
      /** Why sessions have stayed behind. */
      readonly reasons: ReasonFields[]
    }
  | { readonly outcome: 'active'; readonly sessions: number; readonly pauseMs: Pause | null }
  | {
      readonly outcome: 'refused' | 'failed'
      readonly reasons: ReasonFields[]
      readonly phases: PhaseDuration[]
      readonly pauseMs: Pause | null
    }

/** Reasons from anything thrown. */
export function reasonsOf(error: unknown): ReasonFields[] {
  if (error instanceof Refusal) return [...error.reasons]
  return [{ reason: clip(messageOf(error)), count: 1 }]
}

/** A refusal of one session, from whatever its capture or restore threw. */
export function refusalOf(id: number, error: unknown): RefusalFields {
  const { kind, version, reason } = reasonsOf(error)[0] as ReasonFields
  return { id, reason, ...(kind === undefined ? {} : { kind }), ...(version === undefined ? {} : { version }) }
}

/** A longer reason would make an invalid message, and the supervisor kills who sends one: the process that serves. */
export function clip(reason: string): string {
  return reason.slice(0, MAX_TEXT)
}
