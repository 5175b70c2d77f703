/**
 * The side that gives. It copies while it serves, in slices; then, from `settled` to the end, it runs in one synchronous
 * turn: while its event loop stands still it reads nothing, writes nothing and no timer of the app fires, so there is no
 * socket to stop and, on abort, nothing to undo.
 */
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { ReasonFields } from '../wire/fields.js'
import { PROTOCOL_RANGE, type TRANSFER, type TransferMessage } from '../wire/messages.js'
import { agree } from './agreement.js'
import type { Fence } from './fence.js'
import { Giver } from './giver.js'
import { Ledger } from './ledger.js'
import { Machine } from './machine.js'
import {
  type Accept,
  type Copy,
  clip,
  type Deadlines,
  type Ending,
  type Group,
  type Part,
  Refusal,
  reasonsOf,
  type Source,
} from './types.js'

/** Parts under way without an acknowledgement: bounds the descriptors in flight, which count against RLIMIT_NOFILE of the sender. */
const WINDOW_PARTS = 4
const ABORT_MS = 100
/** Of the freeze: who waits for others waits longer than they do, so that he who is late is the one who says so. */
const MORE_FOR_OTHERS = 0.1
/** Where the supervisor does not say. */
const DEFAULT_COPY_MS = 20_000

type Lost = 'eof' | 'silence' | 'invalid'

export class Predecessor {
  readonly #link: Link<typeof TRANSFER>
  readonly #fence: Fence
  readonly #source: Source
  readonly #deadlines: Deadlines
  readonly #onEnding: (ending: Ending) => void
  /** The other pairs it commits with. */
  readonly #group: Group | undefined
  readonly #ledger = new Ledger()
  readonly #machine: Machine<'predecessor'>
  #frozenAtMs = 0
  #timer: NodeJS.Timeout | undefined
  #copy: Copy | undefined
  #acknowledged = 0
  #isSettled = false
  /** Both sides know how sessions follow after commit. */
  #follows = false
  #giver: Giver | undefined
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
    group?: Group,
  ) {
    this.#link = link
    this.#fence = fence
    this.#machine = new Machine('predecessor', fence, 'check')
    this.#source = source
    this.#deadlines = deadlines
    this.#onEnding = onEnding
    this.#group = group
  }

  get #phase() {
    return this.#machine.phase
  }

  start(): void {
    this.#expectAnswer()
    this.#link.start({
      onMessage: (message) => (this.#giver === undefined ? this.#onAnswer(message) : this.#giver.onMessage(message)),
      onEnd: (error) => {
        const event = error ? 'invalid' : 'eof'
        const reason = error?.message ?? 'the successor closed its channel'
        if (this.#giver === undefined) this.#lose(event, `${reason} (phase ${this.#phase})`)
        else this.#giver.onEnd(event, reason)
      },
    })
    this.#link.send('offer', { protocol: PROTOCOL_RANGE, follows: true, ...this.#source.offer() })
  }

  /** Before the freeze: gives it up, at once, and says why. */
  withdraw(reason: string): void {
    if (this.#ended) return
    this.#fail(new Refusal([{ reason, count: 1 }]))
    this.#thaw()
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
    this.#follows = accept.follows === true
    try {
      const { copyMs = DEFAULT_COPY_MS, unsettled = 'freeze', policy = 'all-or-nothing' } = this.#deadlines
      const copy = this.#source.copy(accept, { copyMs, unsettled, policy })
      this.#copy = copy
      for (const state of copy.states('copy')) this.#link.send('state', this.#noteState(state))
      for (;;) {
        const part = copy.next()
        // What the successor has still to build would lie inside the pause.
        if (part === undefined && this.#outstanding === 0) {
          if (this.#group === undefined || (await this.#mayFreeze(this.#group, copy))) break
          if (this.#phase !== 'copy') return
          if (this.#group?.isEndless) this.#sendStates(copy)
          continue
        }
        // Not queued when the channel is full: that would take a duplicate of each descriptor.
        while (part !== undefined && !isEmpty(part) && !this.#send(part, 0)) {
          await this.#turn(this.#outstanding - 1)
          if (this.#phase !== 'copy') return
        }
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

  /** Not queued: who does not take them is stuck. */
  #sendStates(copy: Copy): void {
    for (const state of copy.states('copy'))
      if (!this.#link.sendBefore(nowMs(), 'state', this.#noteState(state)))
        throw new Error('the successor does not take the shared states')
  }

  /** With others: when they have settled, too. Meanwhile no answer is due, and what is new is copied from time to time. */
  async #mayFreeze(group: Group, copy: Copy): Promise<boolean> {
    clearTimeout(this.#timer)
    if (!this.#isSettled) group.settled()
    this.#isSettled = true
    const may = await group.mayFreeze()
    if (this.#phase !== 'copy') return false
    if (may === undefined) throw new Error('the supervisor ended before all workers could freeze')
    if (!may) {
      copy.again()
      this.#expectAnswer()
    }
    return may
  }

  /** Lets the app run, and waits while more than `most` parts are under way. */
  async #turn(most: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#phase === 'copy' && this.#outstanding > Math.max(0, most)) {
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
      if (this.#phase === 'agree') this.#agree(this.#group as Group, deadlineMs)
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
    copy.freeze()
    for (const state of copy.states('freeze'))
      if (!sent(this.#link.sendBefore(deadlineMs, 'state', this.#noteState(state)))) return
    for (const part of copy.rest()) {
      while (!this.#send(part, deadlineMs)) {
        if (this.#outstanding === 0) return void sent(false)
        this.#handle(this.#link.receiveBefore(deadlineMs))
        if (this.#phase !== 'transfer') return
      }
      while (this.#phase === 'transfer' && this.#outstanding >= WINDOW_PARTS)
        this.#handle(this.#link.receiveBefore(deadlineMs))
      if (this.#phase !== 'transfer') return
    }
    // The successor may refuse single sessions: the manifest names what it has taken, so every answer has to be in.
    if (this.#deadlines.policy === 'best-effort')
      while (this.#phase === 'transfer' && this.#acknowledged < this.#ledger.parts)
        this.#handle(this.#link.receiveBefore(deadlineMs))
    if (this.#phase !== 'transfer') return
    const { parts, sessions, states, digest } = this.#ledger
    const manifest = { parts, sessions, states, digest, nextId: copy.nextId }
    if (sent(this.#link.sendBefore(deadlineMs, 'manifest', manifest))) this.#machine.take('sent')
  }

  #agree(group: Group, deadlineMs: number): void {
    const { verdict, lost } = agree(this.#link, group, deadlineMs + this.#deadlines.freezeMs * MORE_FOR_OTHERS)
    if (verdict === 'commit') this.#machine.take('decided')
    else if (lost !== undefined) this.#lose(lost.kind, `${lost.reason} (phase ${this.#phase})`)
    else this.#machine.take('overruled')
  }

  #noteState<S>(state: S): S {
    this.#ledger.states++
    return state
  }

  get #outstanding(): number {
    return this.#ledger.parts - this.#acknowledged
  }

  /** Sends a part by then, blocking the thread; false when it could not be, and is to be sent again after an acknowledgement. */
  #send(part: Part, deadlineMs: number): boolean {
    const index = this.#ledger.parts
    let isSent: boolean
    try {
      if (part.kind === 'batch')
        isSent = this.#link.sendBefore(deadlineMs, 'batch', { index, sessions: part.records }, part.descriptors)
      else if (part.kind === 'update')
        isSent = this.#link.sendBefore(deadlineMs, 'update', { index, changes: part.changes })
      else isSent = this.#link.sendBefore(deadlineMs, 'gone', { index, ids: part.ids })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ETOOMANYREFS') throw error
      // unix(7): what all processes of this user have in flight counts against RLIMIT_NOFILE of the sender.
      if (this.#outstanding === 0) throw new Refusal([{ reason: tooManyInFlight(), count: 1 }])
      return false
    }
    if (isSent) this.#ledger.note(part)
    return isSent
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
      const { refused = [] } = message.fields
      this.#ledger.drop(refused.map(({ id }) => id))
      this.#copy?.refused(refused)
      this.#onRoom()
    } else if (message.kind === 'refuse') {
      this.#outcome = 'refused'
      this.#reasons = message.fields.reasons
    }
    // Others have a say before commit is said.
    this.#machine.take(message.kind === 'prepared' && this.#group !== undefined ? 'pending' : message.kind)
  }

  #isDue(message: TransferMessage): boolean {
    const { parts, digest } = this.#ledger
    if (message.kind === 'received') {
      // With one session of many it is content only where both have agreed on that.
      const mayRefuse = this.#follows && this.#deadlines.policy === 'best-effort'
      const isAllowed = mayRefuse || (message.fields.refused ?? []).length === 0
      return isAllowed && message.fields.index === this.#acknowledged && this.#acknowledged < parts
    }
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
    const reasons = this.#copy?.reasons() ?? []
    this.#stop()
    const left = this.#source.handOver()
    if (left !== undefined && this.#follows) this.#giver = new Giver(this.#link, left, this.#deadlines.freezeMs)
    else {
      this.#link.close()
      left?.end('the successor takes nothing more')
    }
    this.#onEnding({ outcome: 'committed', moved: this.#ledger.sessions, phases: this.#machine.durations, reasons })
    void this.#giver?.run()
  }

  #thaw(): void {
    if (!this.#stop()) return
    this.#link.close()
    this.#copy?.thaw()
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
  #stop(): boolean {
    clearTimeout(this.#timer)
    if (this.#ended) return false
    this.#ended = true
    this.#copy?.end()
    this.#fence.close()
    return true
  }
}

const isEmpty = (part: Part): boolean => part.kind === 'update' && part.changes.length === 0

function tooManyInFlight(): string {
  const { soft } = binding().descriptorLimit()
  return `this user has as many descriptors in flight between its processes as one may have open (RLIMIT_NOFILE, soft, is ${soft}): raise that limit, or upgrade when the others have done`
}
