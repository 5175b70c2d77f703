/**
 * The side that gives. It copies while it serves, in slices; then, from `settled` to the end, it runs in one synchronous
 * turn: while its event loop stands still it reads nothing, writes nothing and no timer of the app fires, so there is no
 * socket to stop and, on abort, nothing to undo.
 */
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { ReasonFields } from '../wire/fields.js'
import { PROTOCOL_RANGE, type TRANSFER, type TransferMessage } from '../wire/messages.js'
import type { Fence } from './fence.js'
import { Ledger } from './ledger.js'
import { Machine } from './machine.js'
import {
  type Accept,
  type Copy,
  clip,
  type Deadlines,
  type Ending,
  type Part,
  Refusal,
  reasonsOf,
  type Source,
} from './types.js'

/** Parts under way without an acknowledgement: bounds the descriptors in flight, which count against RLIMIT_NOFILE of the sender. */
const WINDOW_PARTS = 4
const ABORT_MS = 100

type Lost = 'eof' | 'silence' | 'invalid'

export class Predecessor {
  readonly #link: Link<typeof TRANSFER>
  readonly #fence: Fence
  readonly #source: Source
  readonly #deadlines: Deadlines
  readonly #onEnding: (ending: Ending) => void
  readonly #ledger = new Ledger()
  readonly #machine: Machine<'predecessor'>
  #frozenAtMs = 0
  #timer: NodeJS.Timeout | undefined
  #copy: Copy | undefined
  #acknowledged = 0
  #onRoom: () => void = () => undefined
  #reasons: ReasonFields[] = []
  #outcome: 'refused' | 'failed' = 'failed'
  #ended = false

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
    this.#machine = new Machine('predecessor', fence, 'check')
    this.#source = source
    this.#deadlines = deadlines
    this.#onEnding = onEnding
  }

  get #phase() {
    return this.#machine.phase
  }

  start(): void {
    this.#expectAnswer()
    this.#link.start({
      onMessage: (message) => this.#onAnswer(message),
      onEnd: (error) =>
        this.#lose(
          error ? 'invalid' : 'eof',
          error?.message ?? `the successor closed its channel (phase ${this.#phase})`,
        ),
    })
    this.#link.send('offer', { protocol: PROTOCOL_RANGE, ...this.#source.offer() })
  }

  /** While the event loop turns. */
  #onAnswer(message: TransferMessage): void {
    this.#expectAnswer()
    if (message.kind === 'accept' && this.#phase === 'check') void this.#serveAndCopy(message.fields)
    else this.#handle(message)
    if (this.#phase === 'thawed') this.#thaw()
  }

  /** Phase `copy`: a slice, a turn of the loop, a slice; then the freeze. */
  async #serveAndCopy(accept: Accept & { protocol: number }): Promise<void> {
    const { min, max } = PROTOCOL_RANGE
    if (accept.protocol < min || accept.protocol > max) {
      this.#lose('invalid', `the successor chose protocol ${accept.protocol}, offered were ${min} to ${max}`)
      return
    }
    this.#machine.take('accept')
    try {
      const copy = this.#source.copy(accept)
      this.#copy = copy
      for (const state of copy.states('copy')) this.#link.send('state', this.#noteState(state))
      for (;;) {
        const part = copy.next()
        // What the successor has still to build would lie inside the pause.
        if (part === undefined && this.#acknowledged === this.#ledger.parts) break
        if (part !== undefined)
          this.#send(part, (kind, fields, descriptors) => this.#link.send(kind, fields, descriptors))
        await this.#turn(part === undefined ? 0 : WINDOW_PARTS - 1)
        if (this.#phase !== 'copy') return
      }
      clearTimeout(this.#timer)
      this.#freeze(copy)
    } catch (error) {
      this.#fail(error)
      this.#thaw()
    }
  }

  /** Lets the app run, and waits while more than `most` parts are under way. */
  async #turn(most: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#phase === 'copy' && this.#ledger.parts - this.#acknowledged > most) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve
      })
    }
  }

  #freeze(copy: Copy): void {
    this.#machine.take('settled')
    this.#frozenAtMs = nowMs()
    const deadlineMs = this.#frozenAtMs + this.#deadlines.freezeMs
    try {
      this.#transfer(copy, deadlineMs)
      while (this.#phase === 'vote') this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase === 'commit') {
        const commitDeadlineMs = nowMs() + this.#deadlines.freezeMs
        if (!this.#link.sendBefore(commitDeadlineMs, 'commit', {}))
          this.#lose('silence', 'the successor did not take the commit')
        while (this.#phase === 'commit') this.#handle(this.#link.receiveBefore(commitDeadlineMs))
      }
    } catch (error) {
      this.#fail(error)
    }
    while (this.#phase === 'yield') this.#handle(this.#link.receiveBefore(Number.POSITIVE_INFINITY))
    if (this.#phase === 'drain') this.#committed()
    else this.#thaw()
  }

  /** Sends the rest and the manifest; leaves phase `transfer`, one way or the other. */
  #transfer(copy: Copy, deadlineMs: number): void {
    const sent = (done: boolean) => {
      if (!done) this.#lose('silence', 'the successor did not take the transfer in time')
      return this.#phase === 'transfer'
    }
    if (!sent(this.#link.sendBefore(deadlineMs, 'freeze', { frozenAtMs: this.#frozenAtMs }))) return
    for (const state of copy.states('freeze'))
      if (!sent(this.#link.sendBefore(deadlineMs, 'state', this.#noteState(state)))) return
    for (const part of copy.rest()) {
      this.#send(part, (kind, fields, descriptors) =>
        sent(this.#link.sendBefore(deadlineMs, kind, fields, descriptors)),
      )
      while (this.#phase === 'transfer' && this.#ledger.parts - this.#acknowledged >= WINDOW_PARTS)
        this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase !== 'transfer') return
    }
    const { parts, sessions, states, digest } = this.#ledger
    if (sent(this.#link.sendBefore(deadlineMs, 'manifest', { parts, sessions, states, digest })))
      this.#machine.take('sent')
  }

  #noteState<S>(state: S): S {
    this.#ledger.states++
    return state
  }

  #send(part: Part, send: Link<typeof TRANSFER>['send']): void {
    const index = this.#ledger.parts
    this.#ledger.note(part)
    if (part.kind === 'batch') send('batch', { index, sessions: part.records }, part.descriptors)
    else if (part.kind === 'update') send('update', { index, changes: part.changes })
    else send('gone', { index, ids: part.ids })
  }

  /** Takes the step a message or its absence means in this phase. */
  #handle(message: ReturnType<Link<typeof TRANSFER>['receiveBefore']>): void {
    if (!('fields' in message)) {
      this.#lose(message.kind, `${message.reason} (phase ${this.#phase})`)
      return
    }
    if (!this.#machine.may(message.kind) || !this.#isDue(message) || message.kind === 'accept') {
      this.#lose('invalid', `the successor sent "${message.kind}" in phase ${this.#phase}, where it was not due`)
      return
    }
    if (message.kind === 'received') {
      this.#acknowledged++
      this.#onRoom()
    } else if (message.kind === 'refuse') {
      this.#outcome = 'refused'
      this.#reasons = message.fields.reasons
    }
    this.#machine.take(message.kind)
  }

  #isDue(message: TransferMessage): boolean {
    const { parts, digest } = this.#ledger
    if (message.kind === 'received') return message.fields.index === this.#acknowledged && this.#acknowledged < parts
    if (message.kind === 'prepared') return message.fields.digest === digest && this.#acknowledged === parts
    return true
  }

  /** The peer is lost, one way or another: fences where the table says so. While the loop turns, thaws at once. */
  #lose(event: Lost, reason: string): void {
    if (!this.#machine.may(event)) return
    const turns = this.#frozenAtMs === 0
    this.#reasons = [{ reason: clip(reason), count: 1 }]
    this.#outcome = 'failed'
    this.#machine.take(event)
    if (turns) this.#thaw()
  }

  /** Something of our own stands in the way. */
  #fail(error: unknown): void {
    this.#outcome = error instanceof Refusal ? 'refused' : 'failed'
    this.#reasons = reasonsOf(error)
    // Best effort: without it the successor sees end of file, which before the manifest means the same.
    if (this.#phase === 'copy' || this.#phase === 'transfer')
      this.#link.sendBefore(nowMs() + ABORT_MS, 'abort', { reasons: this.#reasons })
    this.#machine.take('failed')
  }

  #expectAnswer(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#onDeadline(), this.#deadlines.checkMs)
  }

  #onDeadline(): void {
    // Timers run before the poll for input: after a long turn of the app the answer may lie there, unread.
    const message = this.#link.receiveBefore(nowMs())
    if ('fields' in message) this.#onAnswer(message)
    else if (message.kind === 'silence')
      this.#lose('silence', `the successor was silent for ${this.#deadlines.checkMs} ms (phase ${this.#phase})`)
    else this.#lose(message.kind, `${message.reason} (phase ${this.#phase})`)
  }

  #committed(): void {
    this.#end()
    this.#source.handOver()
    this.#onEnding({ outcome: 'committed', moved: this.#ledger.sessions, phases: this.#machine.durations })
  }

  #thaw(): void {
    if (!this.#end()) return
    const pauseMs = this.#frozenAtMs === 0 ? null : nowMs() - this.#frozenAtMs
    this.#onEnding({
      outcome: this.#outcome,
      reasons: this.#reasons,
      phases: this.#machine.durations,
      pauseMs: pauseMs === null ? null : { p50: pauseMs, p99: pauseMs, max: pauseMs },
    })
    this.#onRoom()
  }

  /** False when it has ended before. */
  #end(): boolean {
    clearTimeout(this.#timer)
    if (this.#ended) return false
    this.#ended = true
    this.#copy?.end()
    this.#link.close()
    this.#fence.close()
    return true
  }
}
