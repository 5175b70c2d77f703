/** Connections that had a message under way at the freeze: they are to move as soon as it has ended. */
import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { SessionKind } from '../../runtime/types.js'
import { holdReads, incomingRequest, letRead, whyNotAtBoundary } from '../../sys/node-internals.js'
import type { Connection } from './connection.js'

export class Left {
  readonly #kind: SessionKind<Connection>
  /** Those that are not read, and the turn in which they are read again, unless they have moved. */
  readonly #held = new Map<Socket, number>()
  #turn = 0

  constructor(kind: SessionKind<Connection>) {
    this.#kind = kind
  }

  /** From commit on, in the predecessor, until it ends. Before, nobody subscribes, and Node publishes nothing. */
  follow(): void {
    subscribe('http.server.response.finish', (message) => {
      const { request, socket } = message as { request: IncomingMessage; socket: Socket }
      // Said before Node has let the response go. Nothing is read before this tick.
      if (this.#kind.get(socket) !== undefined) this.#lookSoon(socket, request)
    })
    // Those that were answered before all of their request had come have had their 'finish'.
    for (const [socket] of this.#kind) {
      const request = incomingRequest(socket)
      if (request !== undefined) this.#awaitRest(socket, request)
    }
  }

  #lookSoon(socket: Socket, request: IncomingMessage): void {
    process.nextTick(() => this.#look(socket, request))
  }

  #awaitRest(socket: Socket, request: IncomingMessage): void {
    request.once('end', () => this.#lookSoon(socket, request))
  }

  #look(socket: Socket, request: IncomingMessage): void {
    const connection = this.#kind.get(socket)
    if (connection === undefined) return
    if (whyNotAtBoundary(socket, connection.bytesAtStart) === undefined) this.#move(socket)
    // It was answered before all of it had come.
    else if (!request.complete && !request.destroyed) this.#awaitRest(socket, request)
  }

  #move(socket: Socket): void {
    // The client's next request may have come already: read here, it would be answered here, and so for ever.
    holdReads(socket)
    this.#kind.touch(socket)
    if (this.#held.size === 0) setImmediate(() => this.#turnOver())
    // Some move in each turn; those that have not when it was everybody's are served on.
    this.#held.set(socket, this.#turn + this.#held.size + 2)
  }

  #turnOver(): void {
    this.#turn++
    for (const [socket, turn] of this.#held) {
      const isHere = this.#kind.get(socket) !== undefined
      if (isHere && turn > this.#turn) continue
      this.#held.delete(socket)
      if (isHere) letRead(socket)
    }
    if (this.#held.size > 0) setImmediate(() => this.#turnOver())
  }
}
