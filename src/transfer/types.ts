/** What the transaction needs from a runtime: it knows nothing of sockets, sessions or state itself. */
import { messageOf } from '../errors.js'
import { MAX_TEXT, type ReasonFields } from '../wire/fields.js'
import type { Fields, TRANSFER } from '../wire/messages.js'
import type { SessionRecord } from '../wire/session-record.js'

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

/** The predecessor's sessions and states. */
export interface Source {
  offer(): Offer
  /** Captures shared state. Everything from here to the end of the freeze happens at one instant: the event loop stands still. */
  captureStates(accept: Accept): Iterable<{ name: string; bytes: Uint8Array; checksum: number }>
  /** Captures sessions in batches of at most MAX_BATCH. The descriptors stay the source's. Throws Refusal. */
  captureSessions(accept: Accept): Iterable<{ records: SessionRecord[]; descriptors: number[] }>
  /** Everything has been taken over: lets go of it, before the loop turns again. Must not throw. */
  handOver(): void
}

/** Where a successor puts what it is given. */
export interface Sink {
  /** Chooses a version for all that is offered. Throws Refusal. */
  choose(offer: Offer): Accept
  /** Throws Refusal. */
  restoreState(choice: Choice, bytes: Uint8Array, checksum: number): void
  /** Owns the descriptor in every case. The session is held still. Throws Refusal. */
  adopt(choice: Choice, record: SessionRecord, descriptor: number): void
  /** Everything is this process' now: begins to read. `frozenAtMs` is when the predecessor stopped. Must not throw. */
  activate(frozenAtMs: number): { sessions: number; pauseMs: Pause | null }
  /** Closes everything that was adopted, without a byte read or written. Must not throw. */
  discard(): void
}

export interface Deadlines {
  readonly checkMs: number
  readonly freezeMs: number
}

/** How a transfer ended for one side. */
export type Ending =
  | { readonly outcome: 'committed'; readonly moved: number; readonly phases: PhaseDuration[] }
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
