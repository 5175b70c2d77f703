/** A stream in a process that has not answered the request: the chunks are written to the socket itself. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { type Framing, listen, type Output, type OutputEvents } from './output.js'
import { endsAreSeen, serveNext } from './reading.js'

const LINE_END = Buffer.from('\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

export class AdoptedOutput implements Output {
  readonly notNow = undefined
  readonly framing: Framing
  readonly #socket: Socket
  readonly #server: Server | undefined
  readonly #events: OutputEvents
  readonly #stop: () => void
  #isOver = false

  constructor(socket: Socket, framing: Framing, server: Server | undefined, events: OutputEvents) {
    this.#socket = socket
    this.framing = framing
    this.#server = server
    this.#events = events
    this.#stop = listen(socket, {
      readable: endsAreSeen(socket),
      // As Node's server does with a client that has ended, unless it is told not to.
      end: () => {
        if ((server as { httpAllowHalfOpen?: boolean } | undefined)?.httpAllowHalfOpen !== true) socket.end()
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
    serveNext(this.#socket, this.#server)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stop()
    this.#events.closed()
  }
}
