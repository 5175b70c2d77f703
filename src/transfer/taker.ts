/**
 * The successor after commit: takes what follows, a batch at a time, in a turn of its event loop. It serves everybody else
 * meanwhile, so it never waits here: not for room, not for the predecessor.
 */
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { Fields, TRANSFER, TransferMessage } from '../wire/messages.js'
import { Token } from './token.js'
import type { FollowSink } from './types.js'
import { Walk } from './walk.js'

export class Taker {
  readonly #link: Link<typeof TRANSFER>
  readonly #sink: FollowSink
  readonly #walk = new Walk('successor', 'wait')
  readonly #timer: NodeJS.Timeout
  #index = 0
  #settle: () => void = () => undefined
  /** Resolves when nothing follows any more. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve
  })

  /**
   * Takes over the link, whose handlers call `onMessage` and `onEnd` from now on.
   * @param withinMs past it nothing more can come: the predecessor's drain is over.
   */
  constructor(link: Link<typeof TRANSFER>, sink: FollowSink, withinMs: number) {
    this.#link = link
    this.#sink = sink
    this.#timer = setTimeout(() => this.#end('silence'), withinMs).unref()
    link.unref()
  }

  onMessage(message: TransferMessage): void {
    if (message.kind === 'move' && message.fields.index === this.#index && this.#walk.may('move')) {
      this.#take(message.fields, message.descriptors)
      return
    }
    for (const fd of message.descriptors) binding().close(fd)
    this.#end('invalid')
  }

  onEnd(event: 'eof' | 'invalid'): void {
    this.#end(event)
  }

  /** Takes nothing more: this process gives everything away itself. */
  finish(): void {
    this.#end('finished')
  }

  #take({ index, sessions }: Fields<typeof TRANSFER, 'move'>, descriptors: number[]): void {
    this.#walk.take('move')
    this.#index++
    const token = new Token(descriptors.pop() as number)
    const refused = this.#sink.take(sessions, descriptors)
    const isSaid = this.#link.sendBefore(nowMs(), 'held', refused.length === 0 ? { index } : { index, refused })
    // Without this word a predecessor that finds no token takes the whole batch for moved.
    const mayTake = refused.length === 0 || (isSaid && !this.#link.peerIsGone)
    this.#walk.take(mayTake ? 'sent' : 'failed', token)
    token.close()
    if (this.#walk.phase !== 'own') {
      this.#sink.discard()
      this.#close()
      return
    }
    this.#link.sendBefore(nowMs(), 'moved', { index })
    this.#sink.release()
    this.#walk.take('sent')
  }

  #end(event: string): void {
    if (!this.#walk.may(event)) return
    this.#walk.take(event)
    this.#close()
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#link.close()
    this.#sink.close()
    this.#settle()
  }
}
