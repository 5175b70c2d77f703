/** A stream in the process that has answered the request: Node's own response writes, and ends. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { HandoverError } from '../../errors.js'
import { framingOf, relieveParser, whyParserIsBusy } from '../../sys/node-internals.js'
import type { Framing, Output, OutputEvents } from './output.js'
import { allowsHalfOpen, endsAreSeen } from './reading.js'

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse

/** Unless the app has set them. `no-transform`: what compresses has a state that cannot move. The last is for nginx. */
const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const

/** @throws HandoverError HANDOVER_USAGE when it is a response of a known length. */
export function sendHead(response: Response): void {
  if (!response.headersSent) {
    for (const [name, value] of Object.entries(HEADERS)) if (!response.hasHeader(name)) response.setHeader(name, value)
    response.statusCode = 200
  }
  if (response.hasHeader('content-length'))
    throw new HandoverError('HANDOVER_USAGE', 'a response with Content-Length cannot be an event stream')
  ;(response as ServerResponse).flushHeaders()
}

/** What an output needs of a response, whatever its protocol. */
export class ResponseOutput implements Output {
  readonly isHeld = false
  readonly #response: Response
  readonly #stays: string | undefined

  /** @param stays why it never moves. */
  constructor(response: Response, events: OutputEvents, stays: string | undefined) {
    this.#response = response
    this.#stays = stays
    response.on('drain', () => events.drained())
    response.on('close', () => events.closed())
    // A write that meets the client's end: 'close' says it.
    response.on('error', () => undefined)
  }

  write(bytes: Uint8Array): boolean {
    const { destroyed, writableEnded } = this.#response
    return destroyed || writableEnded ? false : (this.#response as ServerResponse).write(bytes)
  }

  end(): void {
    this.#response.end()
  }

  finish(): void {
    this.end()
  }

  destroy(): void {
    this.#response.destroy()
  }

  get queuedBytes(): number {
    return this.#response.writableLength
  }

  get notNow(): string | undefined {
    return this.#stays
  }

  get framing(): Framing {
    return { chunked: false, last: true }
  }
}

/** A response of HTTP/1 on a connection that moves. */
export class MovableOutput extends ResponseOutput {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #socket: Socket
  readonly #events: OutputEvents
  /** Where the response begins in what is written to the connection. What is before it may not be readable any more. */
  readonly #startsAt: number
  #busy: string | undefined = 'its request is still coming in'
  #isOver = false

  /** @param startsAt `socket.bytesWritten` when the connection became a session. */
  constructor(request: IncomingMessage, response: ServerResponse, startsAt: number, events: OutputEvents) {
    super(response, events, undefined)
    this.#request = request
    this.#response = response
    this.#socket = request.socket
    this.#startsAt = startsAt
    this.#events = events
    response.on('close', () => {
      this.#isOver = true
    })
    if (response.socket === null) response.once('socket', () => events.changed())
    // The parser is still in the middle of the request when it calls the app.
    process.nextTick(() => this.#whenReceived())
  }

  override write(bytes: Uint8Array): boolean {
    const isTaken = super.write(bytes)
    // By the app. The bytes wait in the response, and the socket is not used.
    if (this.#response.writableCorked > 0) this.#events.changed()
    return isTaken
  }

  override get notNow(): string | undefined {
    if (this.#busy !== undefined) return this.#busy
    const socket = this.#socket
    if (this.#response.socket !== socket || socket.bytesWritten - socket.writableLength < this.#startsAt)
      return 'an earlier response is not sent yet'
    return this.#response.writableCorked > 0 ? 'its response is corked' : undefined
  }

  override get framing(): Framing {
    return framingOf(this.#response)
  }

  #whenReceived(): void {
    if (this.#request.complete) {
      this.#takeReading()
      return
    }
    this.#request.once('end', () => this.#takeReading())
    // A body that nobody reads: Node throws it away when it has answered, which may never be.
    if (this.#request.readableFlowing === null && this.#request.listenerCount('readable') === 0) this.#request.resume()
  }

  #takeReading(): void {
    if (this.#isOver || this.#socket.destroyed) return
    this.#busy = whyParserIsBusy(this.#socket, this.#request)
    if (this.#busy !== undefined) return
    const { server } = this.#socket as { server?: object }
    const giveBack = relieveParser(this.#socket, endsAreSeen(this.#socket, allowsHalfOpen(server)))
    this.#response.once('close', giveBack)
    this.#events.changed()
  }
}
