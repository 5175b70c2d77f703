/** After commit: a connection of TLS ends with its next response, and an idle one when it has been idle for long enough. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { lastResponse } from '../../sys/node-internals.js'
import { endPolitely } from './end.js'

/** All events that bring a request with its response. */
const REQUESTS = ['request', 'checkContinue', 'checkExpectation'] as const

export class Http1 {
  readonly #server: Server
  /** Of TLS, their handshake done; those that have become HTTP/2 are not ours. */
  readonly #open = new Set<Socket & { alpnProtocol?: unknown }>()
  /** The last response that says "close", by connection. */
  readonly #closing = new WeakMap<Socket, ServerResponse>()
  #isRetired = false

  constructor(server: Server) {
    this.#server = server
    const open = this.#open
    function onClose(this: Socket): void {
      open.delete(this)
    }
    server.on('secureConnection', (socket: Socket & { alpnProtocol?: unknown }) => {
      if (socket.alpnProtocol === 'h2') return
      open.add(socket)
      socket.on('close', onClose)
      if (this.#isRetired) this.#endLater(socket)
    })
  }

  retire(): void {
    this.#isRetired = true
    const server = this.#server
    // Where the app answers none, nothing is to be said; and http2 begins to make them when somebody wants them.
    for (const event of REQUESTS) if (server.listenerCount(event) > 0) server.prependListener(event, this.#onRequest)
    // Idle for keepAliveTimeout, or too slow for server.timeout: Node would close it at once, whatever is on its way.
    if (server.listenerCount('timeout') === 0) server.on('timeout', (socket: Socket) => endPolitely(socket))
    for (const socket of this.#open) {
      this.#endLater(socket)
      const response = lastResponse(socket)
      if (response !== undefined) this.#sayClose(socket, response)
    }
  }

  end(): void {
    for (const socket of this.#open) endPolitely(socket)
  }

  /** Node ends a connection like this when it has sent a response that says "close". */
  #endLater(socket: Socket): void {
    socket.destroySoon = () => endPolitely(socket)
  }

  #onRequest = ({ httpVersionMajor, socket }: IncomingMessage, response: ServerResponse): void => {
    if (httpVersionMajor >= 2) return
    // Pipelined behind another: that one must not be the last.
    const before = this.#closing.get(socket)
    if (before !== undefined && !before.headersSent) before.removeHeader('connection')
    this.#sayClose(socket, response)
  }

  #sayClose(socket: Socket, response: ServerResponse): void {
    if (response.headersSent || response.hasHeader('connection')) return
    response.setHeader('connection', 'close')
    this.#closing.set(socket, response)
  }
}
