/** Typed messages over a channel: each checked for kind, length, descriptor count and order before anyone sees it. */
import { HandoverError, messageOf } from '../errors.js'
import { decodeBody, encodeBody } from '../wire/codec.js'
import { HEADER_BYTES, MAX_BODY_BYTES, MAX_INLINE_BYTES, readHeader, writeHeader } from '../wire/frame.js'
import type { Fields, Message, MessageRow, MessageTable } from '../wire/messages.js'
import { Channel, closeAll, type Packet } from './channel.js'
import { readSealed, writeSealed } from './memfd.js'

export interface LinkHandler<T extends MessageTable> {
  /** Owns the descriptors of the message. */
  onMessage(message: Message<T>): void
  /** See ChannelHandler. */
  onTruncated?(): void
  /** End of file (`undefined`), or what was wrong: the link is closed by then. */
  onEnd(error?: HandoverError): void
}

/** What a blocking receive ends with, apart from a message. */
export type NoMessage = { readonly kind: 'eof' | 'silence' | 'invalid'; readonly reason: string }

export class Link<T extends MessageTable> {
  readonly #channel: Channel
  readonly #table: T
  readonly #peer: MessageRow['from']
  #sent = 0
  /**
   * The number that must come next. Unknown after a packet that did not check out: nobody knows whether the peer counted
   * it, and a predecessor without the token that missed `active` would wait for the death of a successor that serves.
   */
  #due: number | undefined = 0

  /** Takes over `fd`. `peer` is who is at the other end. */
  constructor(fd: number, table: T, peer: MessageRow['from']) {
    this.#channel = new Channel(fd)
    this.#table = table
    this.#peer = peer
  }

  get isOpen(): boolean {
    return this.#channel.isOpen
  }

  /** True once something could not be sent for want of a peer, or its end of file was read. */
  get peerIsGone(): boolean {
    return this.#channel.peerIsGone
  }

  start(handler: LinkHandler<T>): void {
    this.#channel.start({
      onPacket: (packet) => {
        let message: Message<T>
        try {
          message = this.#open(packet)
        } catch (error) {
          this.close()
          handler.onEnd(error as HandoverError)
          return
        }
        handler.onMessage(message)
      },
      ...(handler.onTruncated && {
        onTruncated: () => {
          this.#due = undefined
          handler.onTruncated?.()
        },
      }),
      onEnd: (error) => {
        const what =
          error &&
          new HandoverError('HANDOVER_CHANNEL_CLOSED', `the channel of the ${this.#peer} failed: ${error.message}`, {
            cause: error,
          })
        handler.onEnd(what)
      },
    })
  }

  ref(): void {
    this.#channel.ref()
  }

  unref(): void {
    this.#channel.unref()
  }

  /** Sends now or as soon as there is room. The caller keeps its descriptors and may close them at once. */
  send<K extends keyof T & string>(kind: K, fields: Fields<T, K>, descriptors: readonly number[] = []): void {
    this.#write(kind, fields, descriptors, (bytes, all) => this.#channel.send(bytes, all))
  }

  /** Sends while blocking the thread; `false` at the deadline (nowMs). */
  sendBefore<K extends keyof T & string>(
    deadlineMs: number,
    kind: K,
    fields: Fields<T, K>,
    descriptors: readonly number[] = [],
  ): boolean {
    return this.#write(kind, fields, descriptors, (bytes, all) => this.#channel.sendBefore(deadlineMs, bytes, all))
  }

  /** Receives while blocking the thread, up to the deadline (nowMs). */
  receiveBefore(deadlineMs: number): Message<T> | NoMessage {
    try {
      const packet = this.#channel.receiveBefore(deadlineMs)
      if (packet === 'end') return { kind: 'eof', reason: `the ${this.#peer} closed its channel` }
      if (packet === 'silence') return { kind: 'silence', reason: `the ${this.#peer} did not answer in time` }
      return this.#open(packet)
    } catch (error) {
      return { kind: 'invalid', reason: messageOf(error) }
    }
  }

  /** Blocks the thread until there is something to receive, `other` (a descriptor) can be read or has ended, or the deadline. */
  waitBefore(deadlineMs: number, other: number): void {
    this.#channel.waitBefore(deadlineMs, other)
  }

  close(): void {
    this.#channel.close()
  }

  #write<R>(
    kind: keyof T & string,
    fields: Fields<T, keyof T & string>,
    descriptors: readonly number[],
    deliver: (bytes: Buffer, descriptors: readonly number[]) => R,
  ): R {
    const body = encodeBody<T, keyof T & string>(kind, fields)
    if (body.length > MAX_BODY_BYTES) {
      throw new HandoverError(
        'HANDOVER_STATE_INVALID',
        `a "${kind}" of ${body.length} bytes is over the limit of ${MAX_BODY_BYTES} for one message`,
      )
    }
    const external = body.length > MAX_INLINE_BYTES
    const message = Buffer.allocUnsafe(HEADER_BYTES + (external ? 0 : body.length))
    writeHeader(message, { external, descriptors: descriptors.length, sequence: this.#sent, length: body.length })
    if (!external) body.copy(message, HEADER_BYTES)
    const memfd = external ? [writeSealed(body)] : []
    try {
      const delivered = deliver(message, [...memfd, ...descriptors])
      // A number that was not sent must not be missing in the row.
      if (delivered !== false) this.#sent++
      return delivered
    } finally {
      closeAll(memfd)
    }
  }

  /** Checks a packet, and closes all that came with it when anything is wrong. */
  #open(packet: Packet): Message<T> {
    const { bytes, descriptors } = packet
    let handedOn = false
    try {
      const header = readHeader(bytes, descriptors.length, this.#due)
      this.#due = header.sequence + 1
      const body = header.external ? readSealed(descriptors[0] as number, header.length) : bytes.subarray(HEADER_BYTES)
      const { kind, fields } = decodeBody(this.#table, this.#peer, body, header.descriptors)
      if (header.external) closeAll(descriptors.splice(0, 1))
      handedOn = true
      return { kind, fields, descriptors } as Message<T>
    } finally {
      if (!handedOn) {
        closeAll(descriptors)
        this.#due = undefined
      }
    }
  }
}
