/** Messages over the stream between a predecessor and its successor: a length of 32 bits, and a sealed state. */
import type { Socket } from 'node:net'
import { apart } from '../../runtime/apart.js'
import { MAX_STATE_BYTES, openState, sealState } from '../../wire/envelope.js'

export interface Message {
  readonly t: string
  readonly [field: string]: unknown
}

const HEAD = 8

export class MessageStream {
  readonly socket: Socket
  readonly #onMessage: (message: Message) => void
  #rest: Buffer

  /** @param rest what has come of a message so far, in another process. */
  constructor(socket: Socket, rest: Uint8Array, onMessage: (message: Message) => void, onEnd: () => void) {
    this.socket = socket
    this.#rest = Buffer.from(rest)
    this.#onMessage = onMessage
    socket.on('data', (bytes: Buffer) => this.#take(bytes))
    socket.on('error', () => undefined)
    socket.on('end', () => socket.end())
    socket.on('close', onEnd)
  }

  /** What has come of a message: a session's state. */
  get rest(): Uint8Array {
    return this.#rest
  }

  /** Throws what `sealState` does: not all that Socket.IO can send is plain data. */
  send(message: Message): void {
    if (!this.socket.writable) return
    const { bytes, checksum } = sealState(message)
    const head = Buffer.alloc(HEAD)
    head.writeUInt32BE(bytes.length, 0)
    head.writeUInt32BE(checksum, 4)
    this.socket.write(head)
    this.socket.write(bytes)
  }

  #take(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.#rest.length >= HEAD) {
      const length = this.#rest.readUInt32BE(0)
      if (length > MAX_STATE_BYTES) {
        this.socket.destroy()
        return
      }
      if (this.#rest.length < HEAD + length) return
      const checksum = this.#rest.readUInt32BE(4)
      const message = this.#rest.subarray(HEAD, HEAD + length)
      this.#rest = this.#rest.subarray(HEAD + length)
      apart(() => this.#onMessage(openState({ bytes: message, checksum }) as Message))
    }
  }
}
