/** What the transaction needs from a runtime: it knows nothing of sockets, sessions or state itself. */
import { messageOf } from '../errors.js'
import { MAX_TEXT, type ReasonFields } from '../wire/fields.js'
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
  /** Everything has been taken over: lets go of it, before the loop turns again. Must not throw. */
  handOver(): void
}

export interface CopyLimits {
  readonly copyMs: number
  /** What is done when too much is still changing after that time. */
  readonly unsettled: 'freeze' | 'refuse'
}

export interface Copy {
  /** What the result of the upgrade is to say of it. */
  readonly notes: readonly ReasonFields[]
  /** Shared states whose newest version has not been sent. */
  states(when: 'copy' | 'freeze'): Iterable<CapturedState>
  /** The next part, captured in about a slice's time; undefined once little is left to send. */
  next(): Part | undefined
  /** In the freeze: all that is new, changed or ended since. The event loop stands still from here on. */
  rest(): Iterable<Part>
  /** Stops following. Must not throw. */
  end(): void
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
  /** Called before the vote. Throws Refusal when something is missing. */
  complete(): void
  /** Everything is this process' now: begins to read. `frozenAtMs` is when the predecessor stopped. Must not throw. */
  activate(frozenAtMs: number): { sessions: number; pauseMs: Pause | null }
  /** Closes everything that was adopted, without a byte read or written. Must not throw. */
  discard(): void
}

export interface Deadlines {
  readonly checkMs: number
  readonly freezeMs: number
  readonly copyMs?: number | undefined
  readonly unsettled?: 'freeze' | 'refuse' | undefined
}

/** How a transfer ended for one side. */
export type Ending =
  | {
      readonly outcome: 'committed'
      readonly moved: number
      readonly phases: PhaseDuration[]
      readonly reasons: readonly ReasonFields[]
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

/** A longer reason would make an invalid message, and the supervisor kills who sends one: the process that serves. */
export function clip(reason: string): string {
  return reason.slice(0, MAX_TEXT)
}
