/**
 * Sessions that go from one process that serves to another one that does: an offer and its answer, and then batches, as after
 * a commit (giver.ts, taker.ts). Nothing stands still but the batch under way, and nobody is killed: both are servers.
 */
import { binding } from '../sys/binding.js'
import type { Link } from '../sys/link.js'
import type { ReasonFields } from '../wire/fields.js'
import { type Fields, PROTOCOL_RANGE, type TRANSFER, type TransferMessage } from '../wire/messages.js'
import { Giver } from './giver.js'
import { Taker } from './taker.js'
import {
  type Accept,
  type Choice,
  clip,
  type Deadlines,
  type FollowSource,
  type Offer,
  reasonsOf,
  type Sink,
} from './types.js'

export interface GiveSource {
  offer(): Offer
  /** It has been agreed how. Throws Refusal. */
  begin(accept: Accept): FollowSource
  /** Nothing has moved, and nothing will. */
  fail(reasons: readonly ReasonFields[]): void
}

type GiveDeadlines = Pick<Deadlines, 'checkMs' | 'freezeMs' | 'drainMs'>

/** The side that gives. */
export class Giving {
  readonly #link: Link<typeof TRANSFER>
  readonly #source: GiveSource
  readonly #deadlines: GiveDeadlines
  #timer: NodeJS.Timeout | undefined
  #giver: Giver | undefined
  #isOver = false

  /** Takes over the link. */
  constructor(link: Link<typeof TRANSFER>, source: GiveSource, deadlines: GiveDeadlines) {
    this.#link = link
    this.#source = source
    this.#deadlines = deadlines
  }

  start(): void {
    const { checkMs } = this.#deadlines
    this.#timer = setTimeout(() => this.#fail(`the taker was silent for ${checkMs} ms`), checkMs)
    this.#link.start({
      onMessage: (message) => (this.#giver === undefined ? this.#onAnswer(message) : this.#giver.onMessage(message)),
      onEnd: (error) => {
        const reason = error?.message ?? 'the taker closed its channel'
        if (this.#giver === undefined) this.#fail(reason)
        else this.#giver.onEnd(error ? 'invalid' : 'eof', reason)
      },
    })
    this.#link.send('offer', { protocol: PROTOCOL_RANGE, follows: true, ...this.#source.offer() })
  }

  /** Gives nothing more: this process is about to give everything away. */
  finish(): void {
    if (this.#giver === undefined) this.#fail('an upgrade began')
    else this.#giver.onEnd('eof', 'an upgrade began')
  }

  #onAnswer(message: TransferMessage): void {
    for (const fd of message.descriptors) binding().close(fd)
    if (message.kind === 'refuse') this.#end(message.fields.reasons)
    else if (message.kind !== 'accept') this.#fail(`the taker sent "${message.kind}", which was not due`)
    else if (message.fields.protocol !== PROTOCOL_RANGE.max)
      this.#fail(`the taker chose protocol ${message.fields.protocol}`)
    else this.#begin(message.fields)
  }

  #begin(accept: Accept): void {
    clearTimeout(this.#timer)
    let source: FollowSource
    try {
      source = this.#source.begin(accept)
    } catch (error) {
      this.#end(reasonsOf(error))
      return
    }
    this.#isOver = true
    this.#giver = new Giver(this.#link, source, this.#deadlines.freezeMs)
    void this.#giver.run()
  }

  #fail(reason: string): void {
    this.#end([{ reason: clip(reason), count: 1 }])
  }

  #end(reasons: readonly ReasonFields[]): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#link.close()
    this.#source.fail(reasons)
  }
}

/** The side that takes. */
export class Taking {
  readonly #link: Link<typeof TRANSFER>
  readonly #sink: Pick<Sink, 'choose' | 'follow'>
  readonly #deadlines: GiveDeadlines
  readonly #timer: NodeJS.Timeout
  #taker: Taker | undefined
  #settle: () => void = () => undefined
  /** Resolves when nothing comes any more. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve
  })

  /** Takes over the link. */
  constructor(link: Link<typeof TRANSFER>, sink: Pick<Sink, 'choose' | 'follow'>, deadlines: GiveDeadlines) {
    this.#link = link
    this.#sink = sink
    this.#deadlines = deadlines
    this.#timer = setTimeout(() => this.#close(), deadlines.checkMs)
  }

  start(): void {
    this.#link.start({
      onMessage: (message) => (this.#taker === undefined ? this.#onOffer(message) : this.#taker.onMessage(message)),
      onEnd: (error) => (this.#taker === undefined ? this.#close() : this.#taker.onEnd(error ? 'invalid' : 'eof')),
    })
    this.#link.unref()
  }

  /** Takes nothing more. */
  finish(): void {
    if (this.#taker === undefined) this.#close()
    else this.#taker.finish()
  }

  #onOffer(message: TransferMessage): void {
    for (const fd of message.descriptors) binding().close(fd)
    if (message.kind === 'offer') this.#choose(message.fields)
    else this.#close()
  }

  #choose(offer: Fields<typeof TRANSFER, 'offer'>): void {
    let accept: Accept
    try {
      accept = this.#sink.choose(offer)
    } catch (error) {
      this.#link.send('refuse', { reasons: reasonsOf(error) })
      this.#close()
      return
    }
    clearTimeout(this.#timer)
    const choiceOf = (kind: number): Choice | undefined =>
      accept.sessions.find(({ name }) => name === offer.sessions[kind]?.name)
    const { drainMs, freezeMs } = this.#deadlines
    this.#taker = new Taker(this.#link, this.#sink.follow(choiceOf), drainMs + freezeMs)
    void this.#taker.settled.then(() => this.#settle())
    this.#link.send('accept', { protocol: PROTOCOL_RANGE.max, ...accept, follows: true })
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#link.close()
    this.#settle()
  }
}
