/**
 * The predecessor after commit: what did not move at the one instant follows, a few sessions at a time. Each batch is one
 * synchronous turn, from the capture to the successor's word, so that there is nothing to stop and, when the batch stays,
 * nothing to undo. Between two batches the loop turns: both sides serve.
 */
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Link, NoMessage } from '../sys/link.js'
import type { RefusalFields } from '../wire/fields.js'
import type { TRANSFER, TransferMessage } from '../wire/messages.js'
import { Token } from './token.js'
import type { Batch, FollowSource } from './types.js'
import { Walk } from './walk.js'

export class Giver {
  readonly #link: Link<typeof TRANSFER>
  readonly #source: FollowSource
  readonly #freezeMs: number
  readonly #walk = new Walk('predecessor', 'serve')
  #index = 0

  /** Takes over the link, whose handlers call `onMessage` and `onEnd` from now on. */
  constructor(link: Link<typeof TRANSFER>, source: FollowSource, freezeMs: number) {
    this.#link = link
    this.#source = source
    this.#freezeMs = freezeMs
  }

  async run(): Promise<void> {
    this.#link.unref()
    this.#source.onStop = () => this.#step('finished', 'the time to drain was over')
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#walk.phase !== 'serve') return
      if (this.#move()) continue
      const due = this.#source.due()
      if (due === undefined) this.#step('finished', 'everything had moved')
      else await due
    }
  }

  /** Nothing is due between two batches. */
  onMessage(message: TransferMessage): void {
    for (const fd of message.descriptors) binding().close(fd)
    this.#step('invalid', `the successor sent "${message.kind}", which was not due`)
  }

  onEnd(event: 'eof' | 'invalid', reason: string): void {
    this.#step(event, reason)
  }

  /** One batch, whatever becomes of it. False when none was to be had. */
  #move(): boolean {
    const frozenAtMs = nowMs()
    const batch = this.#source.next()
    if (batch === undefined) return false
    let token: Token | undefined
    try {
      token = Token.make()
      if (!this.#send(batch, token)) throw new Error('the successor did not take up')
      this.#walk.take('sent')
    } catch (error) {
      // No descriptor to be had, or no room: nothing has left this process.
      token?.close()
      this.#walk.take('failed')
      this.#source.keep(error)
      return true
    }
    try {
      this.#settle(batch, token, frozenAtMs)
    } finally {
      token.close()
    }
    return true
  }

  /** Does not wait for room: that would be a pause, and before the first word of the batch it is for nothing. */
  #send({ records, descriptors }: Batch, token: Token): boolean {
    const fields = { index: this.#index, sessions: records }
    const isSent = this.#link.sendBefore(nowMs(), 'move', fields, [...descriptors, token.descriptor])
    if (isSent) this.#index++
    return isSent
  }

  #settle(batch: Batch, token: Token, frozenAtMs: number): void {
    const deadlineMs = frozenAtMs + this.#freezeMs
    const ids = new Set(batch.records.map(([id]) => id))
    let refused: readonly RefusalFields[] = []
    let lost = 'the successor did not take it'
    while (['give', 'confirm', 'yield'].includes(this.#walk.phase)) {
      const message = this.#link.receiveBefore(deadlineMs)
      let event: string = message.kind
      if (!this.#isDue(message, ids)) {
        event = 'invalid'
        lost = `the successor sent "${message.kind}" of another batch`
      } else if ('reason' in message) lost = message.reason
      else if (message.kind === 'held') refused = message.fields.refused ?? []
      this.#walk.take(this.#walk.may(event) ? event : 'invalid', token)
    }
    if (this.#walk.phase === 'kept') this.#source.keep(new Error(`it had not followed when ${lost}`))
    else this.#source.moved(refused, nowMs() - frozenAtMs)
    if (this.#walk.phase !== 'serve') this.#end(lost)
  }

  #isDue(message: TransferMessage | NoMessage, ids: ReadonlySet<number>): boolean {
    if (message.kind !== 'held' && message.kind !== 'moved') return true
    if (message.fields.index !== this.#index - 1) return false
    return message.kind === 'moved' || (message.fields.refused ?? []).every(({ id }) => ids.has(id))
  }

  #step(event: string, why: string): void {
    if (this.#walk.phase !== 'serve') return
    this.#walk.take(event)
    this.#end(why)
  }

  #end(why: string): void {
    this.#link.close()
    this.#source.end(why)
  }
}
