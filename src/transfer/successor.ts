/**
 * The side that takes over. It builds everything held still, votes, and reads its first byte only after it has said
 * `active`. It runs by the event loop: nobody is served here yet.
 */
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { ReasonFields, RefusalFields } from '../wire/fields.js'
import { type Fields, PROTOCOL_RANGE, type TRANSFER, type TransferMessage } from '../wire/messages.js'
import type { Fence } from './fence.js'
import { Ledger } from './ledger.js'
import { Machine } from './machine.js'
import { PHASES, type Phase } from './phases.js'
import { Taker } from './taker.js'
import {
  type Accept,
  type Choice,
  clip,
  type Deadlines,
  type Ending,
  type Part,
  Refusal,
  reasonsOf,
  refusalOf,
  type Sink,
} from './types.js'

/** Reasons kept word by word; beyond, the same kind of failure is only counted. */
const MAX_REASONS = 20
const REFUSE_MS = 1000

export class Successor {
  readonly #link: Link<typeof TRANSFER>
  readonly #fence: Fence
  readonly #sink: Sink
  readonly #deadlines: Deadlines
  readonly #onEnding: (ending: Ending) => void
  readonly #reasons: ReasonFields[] = []
  readonly #machine: Machine<'successor'>
  #timer: NodeJS.Timeout | undefined
  #offer: Fields<typeof TRANSFER, 'offer'> | undefined
  #accept: Accept | undefined
  #outcome: 'refused' | 'failed' = 'failed'
  readonly #ledger = new Ledger()
  readonly #restored = new Set<string>()
  /** Of the part under way: what could not be taken, under `best-effort`. */
  readonly #refused: RefusalFields[] = []
  #taker: Taker | undefined
  #frozenAtMs = 0

  /** Takes over link and fence; `onEnding` is called once. */
  constructor(
    link: Link<typeof TRANSFER>,
    fence: Fence,
    sink: Sink,
    deadlines: Deadlines,
    onEnding: (ending: Ending) => void,
  ) {
    this.#link = link
    this.#fence = fence
    this.#machine = new Machine('successor', fence, 'check')
    this.#sink = sink
    this.#deadlines = deadlines
    this.#onEnding = onEnding
  }

  get #phase() {
    return this.#machine.phase
  }

  start(): void {
    this.#awaitNext()
    this.#link.start({
      onMessage: (message) => (this.#taker === undefined ? this.#onMessage(message) : this.#taker.onMessage(message)),
      onEnd: (error) => {
        const event = error ? 'invalid' : 'eof'
        if (this.#taker !== undefined) this.#taker.onEnd(event)
        else this.#lose(event, error?.message ?? `the predecessor closed its channel in phase ${this.#phase}`)
      },
    })
  }

  /** Resolves when nothing follows any more. */
  get settled(): Promise<void> {
    return this.#taker?.settled ?? Promise.resolve()
  }

  /** This process is about to give away what it has: nothing follows into it any more. */
  finish(): void {
    this.#taker?.finish()
  }

  #onMessage(message: TransferMessage): void {
    if (!this.#machine.may(message.kind)) {
      for (const fd of message.descriptors) binding().close(fd)
      this.#lose('invalid', `the predecessor sent "${message.kind}" in phase ${this.#phase}`)
      return
    }
    this.#awaitNext()
    switch (message.kind) {
      case 'offer':
        this.#choose(message.fields)
        return
      case 'state':
        this.#restoreState(message.fields)
        return
      case 'batch':
        this.#adopt(message.fields, message.descriptors)
        return
      case 'update': {
        const { index, changes } = message.fields
        this.#take(index, { kind: 'update', changes }, () => {
          for (const change of changes) this.#tryOne(change[0], () => this.#sink.update(change))
        })
        return
      }
      case 'gone': {
        const { index, ids } = message.fields
        this.#take(index, { kind: 'gone', ids }, () => {
          for (const id of ids) this.#try(() => this.#sink.forget(id))
        })
        return
      }
      case 'freeze':
        this.#frozenAtMs = message.fields.frozenAtMs
        this.#step('freeze')
        return
      case 'manifest':
        this.#vote(message.fields)
        return
      case 'abort':
        this.#reasons.push(...message.fields.reasons)
        this.#step('abort')
        return
      case 'commit':
        this.#step('commit')
        return
    }
  }

  #choose(offer: Fields<typeof TRANSFER, 'offer'>): void {
    const protocol = Math.min(offer.protocol.max, PROTOCOL_RANGE.max)
    try {
      if (protocol < Math.max(offer.protocol.min, PROTOCOL_RANGE.min)) {
        const reason = `the predecessor speaks transfer protocol ${offer.protocol.min} to ${offer.protocol.max}, the successor ${PROTOCOL_RANGE.min} to ${PROTOCOL_RANGE.max}`
        throw new Refusal([{ reason, count: 1 }])
      }
      const accept = this.#sink.choose(offer)
      this.#offer = offer
      this.#accept = accept
      this.#step('offer')
      this.#link.send('accept', { protocol, ...accept, ...(offer.follows ? { follows: true } : {}) })
    } catch (error) {
      this.#refuse(error)
    }
  }

  #restoreState({ name, bytes, checksum }: Fields<typeof TRANSFER, 'state'>): void {
    const choice = this.#accept?.states.find((state) => state.name === name)
    if (choice === undefined) {
      this.#lose('invalid', `the predecessor sent shared state "${name}", which was not agreed`)
      return
    }
    this.#ledger.states++
    this.#restored.add(name)
    try {
      this.#sink.restoreState(choice, bytes, checksum)
    } catch (error) {
      this.#refuse(error)
    }
  }

  #adopt({ index, sessions }: Fields<typeof TRANSFER, 'batch'>, descriptors: number[]): void {
    const taken = this.#take(index, { kind: 'batch', records: sessions, descriptors }, () => {
      for (const [position, record] of sessions.entries()) {
        const descriptor = descriptors[position] as number
        const choice = this.#choiceOf(record[1])
        if (choice !== undefined) this.#tryOne(record[0], () => this.#sink.adopt(choice, record, descriptor))
        else {
          binding().close(descriptor)
          const kind = this.#offer?.sessions[record[1]]?.name ?? record[1]
          this.#note(new Refusal([{ reason: `sessions of kind ${kind} were not agreed`, count: 1 }]))
        }
      }
    })
    if (!taken) for (const fd of descriptors) binding().close(fd)
  }

  #choiceOf(kind: number): Choice | undefined {
    const offered = this.#offer?.sessions[kind]
    return this.#accept?.sessions.find(({ name }) => name === offered?.name)
  }

  /** A part in its turn: notes it, does it, acknowledges it. False when it was not due, and nothing was done. */
  #take(index: number, part: Part, run: () => void): boolean {
    const due = this.#ledger.parts
    const wrong = index === due ? this.#ledger.note(part) : `part ${index} came where ${due} was due`
    if (wrong !== undefined) {
      this.#lose('invalid', wrong)
      return false
    }
    run()
    // A whole part is tried before it is refused: its reasons are worth more than its time.
    if (this.#reasons.length > 0) this.#refuse(new Refusal(this.#reasons.splice(0)))
    else if (this.#refused.length === 0) this.#link.send('received', { index })
    else this.#link.send('received', { index, refused: this.#refused.splice(0) })
    return true
  }

  #try(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#note(error)
    }
  }

  /** One session: under `best-effort` it stays with the predecessor, and nothing of it is left here. */
  #tryOne(id: number, run: () => void): void {
    try {
      run()
    } catch (error) {
      if (this.#deadlines.policy !== 'best-effort' || this.#offer?.follows !== true) {
        this.#note(error)
        return
      }
      this.#refused.push(refusalOf(id, error))
      this.#ledger.drop([id])
      this.#try(() => this.#sink.forget(id))
    }
  }

  #vote(manifest: Fields<typeof TRANSFER, 'manifest'>): void {
    const { states, parts, sessions, digest } = this.#ledger
    if (
      this.#accept?.states.length !== this.#restored.size ||
      manifest.states !== states ||
      manifest.parts !== parts ||
      manifest.sessions !== sessions ||
      manifest.digest !== digest
    ) {
      this.#lose(
        'invalid',
        `the manifest names ${manifest.sessions} sessions, ${manifest.states} states, digest ${manifest.digest}; here are ${sessions}, ${states} (${this.#restored.size} of ${this.#accept?.states.length} agreed), ${digest}`,
      )
      return
    }
    try {
      this.#sink.complete(manifest.nextId ?? 0)
    } catch (error) {
      this.#refuse(error)
      return
    }
    this.#step('manifest')
    this.#link.send('prepared', { digest })
  }

  #note(error: unknown): void {
    for (const reason of reasonsOf(error)) {
      const same = this.#reasons.find(
        (known) =>
          known.kind === reason.kind && (known.reason === reason.reason || this.#reasons.length >= MAX_REASONS),
      )
      if (same === undefined) this.#reasons.push({ ...reason })
      else same.count += reason.count
    }
  }

  #refuse(error: unknown): void {
    this.#note(error)
    this.#outcome = 'refused'
    // Waits for room: the channel is closed next, and without these words the predecessor would only see end of file.
    this.#link.sendBefore(nowMs() + REFUSE_MS, 'refuse', { reasons: this.#reasons })
    this.#step('failed')
  }

  #lose(event: 'eof' | 'silence' | 'invalid', reason: string): void {
    if (!this.#machine.may(event)) return
    if (this.#reasons.length === 0) this.#reasons.push({ reason: clip(reason), count: 1 })
    this.#step(event)
  }

  #step(event: string): void {
    if (!this.#machine.take(event)) return
    if (this.#phase === 'active') this.#activate()
    else if (this.#phase === 'aborted') this.#abort()
    else this.#awaitNext()
  }

  #activate(): void {
    // Said before the first byte is read: a predecessor that hears end of file without it may thaw.
    const said = this.#link.sendBefore(nowMs() + this.#deadlines.freezeMs, 'active', {})
    if (!said || this.#link.peerIsGone) this.#fence.ensureDead()
    this.#stop()
    const taken = this.#sink.activate(this.#frozenAtMs)
    if (this.#offer?.follows && this.#link.isOpen) {
      const sink = this.#sink.follow((kind) => this.#choiceOf(kind))
      this.#taker = new Taker(this.#link, sink, this.#deadlines.drainMs + this.#deadlines.freezeMs)
    } else this.#link.close()
    this.#onEnding({ outcome: 'active', ...taken })
  }

  #abort(): void {
    this.#stop()
    this.#link.close()
    this.#sink.discard()
    this.#onEnding({ outcome: this.#outcome, reasons: this.#reasons, phases: this.#machine.durations, pauseMs: null })
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#fence.close()
  }

  #awaitNext(): void {
    clearTimeout(this.#timer)
    const { deadline } = PHASES.successor[this.#phase] as Phase
    if (deadline === undefined) return
    const ms = deadline === 'check' ? this.#deadlines.checkMs : this.#deadlines.freezeMs * 2
    this.#timer = setTimeout(() => this.#onDeadline(ms), ms)
  }

  #onDeadline(ms: number): void {
    // Timers run before the poll for input: after a long turn of our own the answer may lie there, unread.
    const message = this.#link.receiveBefore(nowMs())
    if ('fields' in message) this.#onMessage(message)
    else if (message.kind === 'silence')
      this.#lose('silence', `the predecessor was silent for ${ms} ms in phase ${this.#phase}`)
    else this.#lose(message.kind, message.reason)
  }
}
