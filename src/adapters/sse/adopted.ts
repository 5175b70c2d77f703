/** A stream in a process that has not answered the request: the chunks are written to the socket itself. */
import type { Socket } from 'node:net'
import { type Framing, listen, type Output, type OutputEvents } from './output.js'
import { endsAreSeen } from './reading.js'

const LINE_END = Buffer.from('\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

export interface AdoptedEvents extends OutputEvents {
  /** The stream has ended, and its connection goes on. */
  idle(socket: Socket): void
}

export class AdoptedOutput implements Output {
  readonly notNow = undefined
  readonly framing: Framing
  readonly #socket: Socket
  readonly #events: AdoptedEvents
  readonly #stop: () => void
  #isOver = false

  /** @param allowHalfOpen the client may end its side, and is served on. */
  constructor(socket: Socket, framing: Framing, allowHalfOpen: boolean, events: AdoptedEvents) {
    this.#socket = socket
    this.framing = framing
    this.#events = events
    this.#stop = listen(socket, {
      readable: endsAreSeen(socket, allowHalfOpen),
      // As Node's server does with a client that has ended, unless it is told not to.
      end: () => {
        if (!allowHalfOpen) socket.end()
      },
      drain: () => events.drained(),
      timeout: () => socket.destroy(),
      error: () => undefined,
      close: () => this.#over(),
    })
  }

  /** One chunk for each call (RFC 9112, 7.1). */
  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    if (socket.destroyed || socket.writableEnded) return false
    if (!this.framing.chunked || bytes.length === 0) return socket.write(bytes)
    return socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, LINE_END]))
  }

  end(): void {
    const socket = this.#socket
    if (this.framing.chunked && !socket.writableEnded) socket.write(LAST_CHUNK)
    this.finish()
  }

  finish(): void {
    const socket = this.#socket
    if (this.framing.last) {
      socket.end()
      return
    }
    // Before commit nobody may read it.
    if (socket.connecting) socket.once('connect', () => this.#passOn())
    else this.#passOn()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  get isHeld(): boolean {
    return this.#socket.connecting
  }

  #passOn(): void {
    if (this.#isOver || this.#socket.destroyed) return
    this.#over()
    if (this.#socket.readableEnded) this.#socket.end()
    else this.#events.idle(this.#socket)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stop()
    this.#events.closed()
  }
}
