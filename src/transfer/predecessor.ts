/**
 * The side that gives. From `accept` to the end it runs in one synchronous turn: while its event loop stands still it
 * reads nothing, writes nothing and no timer of the app fires, so there is no socket to stop and, on abort, nothing to undo.
 */

import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { ReasonFields } from '../wire/fields.js'
import { PROTOCOL_RANGE, type TRANSFER, type TransferMessage } from '../wire/messages.js'
import { digestSession } from '../wire/session-record.js'
import type { Fence } from './fence.js'
import { type PhaseOf, stepOf } from './phases.js'
import {
  type Accept,
  type Deadlines,
  type Ending,
  type PhaseDuration,
  Refusal,
  reasonsOf,
  type Source,
} from './types.js'

/** Batches under way without an acknowledgement: bounds the descriptors in flight, which count against RLIMIT_NOFILE of the sender. */
const WINDOW_BATCHES = 4

export class Predecessor {
  readonly #link: Link<typeof TRANSFER>
  readonly #fence: Fence
  readonly #source: Source
  readonly #deadlines: Deadlines
  readonly #onEnding: (ending: Ending) => void
  readonly #phases: PhaseDuration[] = []
  #phase: PhaseOf<'predecessor'> = 'check'
  #since = nowMs()
  #frozenAtMs = 0
  #checkTimer: NodeJS.Timeout | undefined
  #acknowledged = 0
  #reasons: ReasonFields[] = []
  #outcome: 'refused' | 'failed' = 'failed'

  /** Takes over link and fence; `onEnding` is called once. */
  constructor(
    link: Link<typeof TRANSFER>,
    fence: Fence,
    source: Source,
    deadlines: Deadlines,
    onEnding: (ending: Ending) => void,
  ) {
    this.#link = link
    this.#fence = fence
    this.#source = source
    this.#deadlines = deadlines
    this.#onEnding = onEnding
  }

  start(): void {
    this.#checkTimer = setTimeout(
      () => this.#lose('silence', 'the successor did not answer the offer in time'),
      this.#deadlines.checkMs,
    )
    this.#link.start({
      onMessage: (message) => this.#onAnswer(message),
      onEnd: (error) =>
        this.#lose(error ? 'invalid' : 'eof', error?.message ?? 'the successor closed its channel during the check'),
    })
    this.#link.send('offer', { protocol: PROTOCOL_RANGE, ...this.#source.offer() })
  }

  #onAnswer(message: TransferMessage): void {
    if (message.kind === 'accept') this.#freeze(message.fields)
    else if (message.kind === 'refuse') this.#refuse(message.fields.reasons)
    else this.#lose('invalid', `the successor sent "${message.kind}" in phase ${this.#phase}`)
  }

  #freeze(accept: Accept): void {
    this.#step('accept')
    this.#frozenAtMs = nowMs()
    const deadlineMs = this.#frozenAtMs + this.#deadlines.freezeMs
    let moved = 0
    try {
      moved = this.#transfer(accept, deadlineMs)
      while (this.#phase === 'vote') this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase === 'commit') {
        const commitDeadlineMs = nowMs() + this.#deadlines.freezeMs
        if (!this.#link.sendBefore(commitDeadlineMs, 'commit', {}))
          this.#lose('silence', 'the successor did not take the commit')
        while (this.#phase === 'commit') this.#handle(this.#link.receiveBefore(commitDeadlineMs))
      }
    } catch (error) {
      this.#outcome = error instanceof Refusal ? 'refused' : 'failed'
      this.#reasons = reasonsOf(error)
      this.#sayAbort()
      this.#step('failed')
    }
    if (this.#phase === 'drain') this.#committed(moved)
    else this.#thaw()
  }

  /** Sends everything; leaves phase `transfer`, one way or the other. Returns how many sessions went. */
  #transfer(accept: Accept, deadlineMs: number): number {
    let states = 0
    let sessions = 0
    let batches = 0
    let digest = 0
    const send = (sent: boolean) => {
      if (!sent) this.#lose('silence', 'the successor did not take the transfer in time')
    }
    for (const state of this.#source.captureStates(accept)) {
      send(this.#link.sendBefore(deadlineMs, 'state', state))
      if (this.#phase !== 'transfer') return 0
      states++
    }
    for (const { records, descriptors } of this.#source.captureSessions(accept)) {
      send(this.#link.sendBefore(deadlineMs, 'batch', { index: batches++, sessions: records }, descriptors))
      for (const record of records) digest = digestSession(digest, record)
      sessions += records.length
      while (this.#phase === 'transfer' && batches - this.#acknowledged >= WINDOW_BATCHES)
        this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase !== 'transfer') return 0
    }
    send(
      this.#link.sendBefore(deadlineMs, 'manifest', {
        frozenAtMs: this.#frozenAtMs,
        batches,
        sessions,
        states,
        digest,
      }),
    )
    if (this.#phase === 'transfer') this.#step('sent')
    return sessions
  }

  #handle(message: ReturnType<Link<typeof TRANSFER>['receiveBefore']>): void {
    switch (message.kind) {
      case 'received':
        if (
          stepOf('predecessor', this.#phase, 'received') === undefined ||
          message.fields.index !== this.#acknowledged
        ) {
          this.#lose('invalid', `the successor acknowledged batch ${message.fields.index} out of order`)
          return
        }
        this.#acknowledged++
        return
      case 'refuse':
        this.#outcome = 'refused'
        this.#reasons = message.fields.reasons
        break
      case 'prepared':
      case 'active':
        break
      case 'eof':
      case 'silence':
      case 'invalid':
        this.#lose(message.kind, `${message.reason} (phase ${this.#phase})`)
        return
      default:
        this.#lose('invalid', `the successor sent "${message.kind}" in phase ${this.#phase}`)
        return
    }
    if (stepOf('predecessor', this.#phase, message.kind) === undefined)
      this.#lose('invalid', `the successor sent "${message.kind}" in phase ${this.#phase}`)
    else this.#step(message.kind)
  }

  /** The peer is lost, one way or another: fences where the table says so, and gives everything back. */
  #lose(event: 'eof' | 'silence' | 'invalid', reason: string): void {
    this.#reasons = [{ reason, count: 1 }]
    this.#outcome = 'failed'
    const frozen = this.#phase !== 'check'
    this.#step(event)
    if (!frozen) this.#thaw()
  }

  #refuse(reasons: ReasonFields[]): void {
    this.#reasons = reasons
    this.#outcome = 'refused'
    this.#step('refuse')
    this.#thaw()
  }

  #sayAbort(): void {
    // Best effort: without it the successor sees end of file, which before the manifest means the same.
    if (this.#phase === 'transfer') this.#link.sendBefore(nowMs() + 100, 'abort', { reasons: this.#reasons })
  }

  #step(event: string): void {
    const step = stepOf('predecessor', this.#phase, event)
    if (step === undefined) throw new Error(`${event} cannot happen in phase ${this.#phase} of the predecessor`)
    if (step.fence) this.#fence.ensureDead()
    if (step.to === this.#phase) return
    const now = nowMs()
    this.#phases.push({ phase: this.#phase, durationMs: now - this.#since })
    this.#since = now
    this.#phase = step.to
  }

  #committed(moved: number): void {
    this.#end()
    this.#source.handOver()
    this.#onEnding({ outcome: 'committed', moved, phases: this.#phases })
  }

  #thaw(): void {
    this.#end()
    const pauseMs = this.#frozenAtMs === 0 ? null : nowMs() - this.#frozenAtMs
    this.#onEnding({
      outcome: this.#outcome,
      reasons: this.#reasons,
      phases: this.#phases,
      pauseMs: pauseMs === null ? null : { p50: pauseMs, p99: pauseMs, max: pauseMs },
    })
  }

  #end(): void {
    clearTimeout(this.#checkTimer)
    this.#link.close()
    this.#fence.close()
  }
}
