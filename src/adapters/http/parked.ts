/**
 * Connections that have come from another process, until their first byte. Their server gets them only then: Node starts the
 * clock of headersTimeout with 'connection', and would answer one that is merely idle with 408.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { nowMs } from '../../sys/clock.js'
import { countConnection, writeStringsDirectly } from '../../sys/node-internals.js'
import type { Connection } from './connection.js'

export class Parked {
  readonly #server: Server
  readonly #connections = new Map<Socket, Connection>()
  readonly #onData: (this: Socket, chunk: Buffer) => void
  readonly #onEnd: (this: Socket) => void
  readonly #onError: (this: Socket, error: Error) => void
  readonly #onTimeout: (this: Socket) => void
  readonly #onClose: (this: Socket) => void
  #checking: NodeJS.Timeout | undefined

  constructor(server: Server) {
    this.#server = server
    // One of each for all sockets.
    const parked = this
    this.#onData = function (chunk) {
      parked.#wake(this, chunk)
    }
    // What the server does with a connection that has no request under way.
    this.#onEnd = function () {
      this.end()
    }
    this.#onError = function (error) {
      if (!server.emit('clientError', error, this)) this.destroy(error)
    }
    this.#onTimeout = function () {
      if (!server.emit('timeout', this)) this.destroy()
    }
    this.#onClose = function () {
      parked.#connections.delete(this)
    }
    this.#closeWithTheIdle()
  }

  /** The socket may be held still: what it does begins at commit. */
  add(socket: Socket, connection: Connection): void {
    countConnection(this.#server, socket)
    writeStringsDirectly(socket)
    this.#connections.set(socket, connection)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('timeout', this.#onTimeout)
    socket.on('close', this.#onClose)
    socket.on('data', this.#onData)
    if (connection.openedAtMs !== null) this.#check()
  }

  /** Given up before commit, without an event. */
  forget(socket: Socket): void {
    this.#connections.delete(socket)
  }

  /** Another kind takes the socket over, or the server: nothing of this is left on it. */
  leave(socket: Socket): boolean {
    const connection = this.#connections.get(socket)
    if (connection === undefined) return false
    this.#connections.delete(socket)
    connection.isParked = false
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.off('timeout', this.#onTimeout)
    socket.off('close', this.#onClose)
    socket.off('data', this.#onData)
    return true
  }

  #wake(socket: Socket, chunk: Buffer): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined || !this.leave(socket)) return
    connection.bytesAtStart = socket.bytesRead - chunk.length
    connection.openedAtMs = null
    this.#give(socket)
    // The parser reads the handle itself from now on, past the stream.
    if (!socket.destroyed) socket.emit('data', chunk)
  }

  #give(socket: Socket): void {
    const server = this.#server
    // Still the time it might be idle. Node does not know that, and would not end it when the request comes.
    socket.setTimeout(server.timeout || 0)
    server.emit('connection', socket)
  }

  /** As checkConnections() of Node does it, at its intervals, for those that have never sent a byte. */
  #check(): void {
    const { connectionsCheckingInterval = 30_000 } = this.#server as { connectionsCheckingInterval?: number }
    this.#checking ??= setInterval(() => {
      const { headersTimeout, requestTimeout } = this.#server
      const limits = [headersTimeout, requestTimeout].filter((ms) => ms > 0)
      let isNeeded = false
      for (const [socket, connection] of this.#connections) {
        if (connection.openedAtMs === null) continue
        isNeeded = true
        if (socket.connecting || nowMs() - connection.openedAtMs < Math.min(...limits)) continue
        this.leave(socket)
        this.#give(socket)
        // Its own handler of errors answers 408, or asks 'clientError'.
        socket.emit('error', Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }))
      }
      if (isNeeded) return
      clearInterval(this.#checking)
      this.#checking = undefined
    }, connectionsCheckingInterval).unref()
  }

  /** The server knows nothing of these; close() closes the idle ones through this same method. */
  #closeWithTheIdle(): void {
    const server = this.#server
    for (const name of ['closeIdleConnections', 'closeAllConnections'] as const) {
      const own = server[name]
      server[name] = () => {
        own.call(server)
        for (const socket of this.#connections.keys()) socket.destroy()
      }
    }
  }
}
