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
  clip,
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
  #sent = { states: 0, sessions: 0, batches: 0, digest: 0 }
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
    if (message.kind === 'accept') this.#onAccept(message.fields)
    else if (message.kind === 'refuse') this.#refuse(message.fields.reasons)
    else this.#lose('invalid', `the successor sent "${message.kind}" in phase ${this.#phase}`)
  }

  #onAccept(accept: Accept & { protocol: number }): void {
    const { min, max } = PROTOCOL_RANGE
    if (accept.protocol >= min && accept.protocol <= max) this.#freeze(accept)
    else this.#lose('invalid', `the successor chose protocol ${accept.protocol}, offered were ${min} to ${max}`)
  }

  #freeze(accept: Accept): void {
    this.#step('accept')
    this.#frozenAtMs = nowMs()
    const deadlineMs = this.#frozenAtMs + this.#deadlines.freezeMs
    try {
      this.#transfer(accept, deadlineMs)
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
    while (this.#phase === 'yield') this.#handle(this.#link.receiveBefore(Number.POSITIVE_INFINITY))
    if (this.#phase === 'drain') this.#committed(this.#sent.sessions)
    else this.#thaw()
  }

  /** Sends everything; leaves phase `transfer`, one way or the other. */
  #transfer(accept: Accept, deadlineMs: number): void {
    const sent = this.#sent
    const send = (went: boolean) => {
      if (!went) this.#lose('silence', 'the successor did not take the transfer in time')
    }
    for (const state of this.#source.captureStates(accept)) {
      send(this.#link.sendBefore(deadlineMs, 'state', state))
      if (this.#phase !== 'transfer') return
      sent.states++
    }
    for (const { records, descriptors } of this.#source.captureSessions(accept)) {
      send(this.#link.sendBefore(deadlineMs, 'batch', { index: sent.batches, sessions: records }, descriptors))
      for (const record of records) sent.digest = digestSession(sent.digest, record)
      sent.sessions += records.length
      sent.batches++
      while (this.#phase === 'transfer' && sent.batches - this.#acknowledged >= WINDOW_BATCHES)
        this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase !== 'transfer') return
    }
    send(this.#link.sendBefore(deadlineMs, 'manifest', { frozenAtMs: this.#frozenAtMs, ...sent }))
    if (this.#phase === 'transfer') this.#step('sent')
  }

  #handle(message: ReturnType<Link<typeof TRANSFER>['receiveBefore']>): void {
    switch (message.kind) {
      case 'received':
        if (this.#isDue(message.fields.index)) this.#acknowledged++
        else this.#lose('invalid', `the successor acknowledged batch ${message.fields.index} out of order`)
        return
      case 'refuse':
        this.#outcome = 'refused'
        this.#reasons = message.fields.reasons
        break
      case 'prepared':
        if (this.#phase !== 'vote' || this.#isWhole(message.fields.digest)) break
        this.#lose('invalid', 'the successor is prepared for something else than was sent')
        return
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

  #isDue(index: number): boolean {
    const isPhase = stepOf('predecessor', this.#phase, 'received') !== undefined
    return isPhase && index === this.#acknowledged && index < this.#sent.batches
  }

  #isWhole(digest: number): boolean {
    return digest === this.#sent.digest && this.#acknowledged === this.#sent.batches
  }

  /** The peer is lost, one way or another: fences where the table says so, and gives everything back. */
  #lose(event: 'eof' | 'silence' | 'invalid', reason: string): void {
    this.#reasons = [{ reason: clip(reason), count: 1 }]
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
    // Until commit is said a successor that has the token took it to kill this process. Afterwards it may be active.
    if (this.#phase === 'commit' && step.fence && !this.#fence.claim()) {
      this.#step('yielded')
      return
    }
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
