/** Connections that had a message under way at the freeze: they are to move as soon as it has ended. */
import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { SessionKind } from '../../runtime/types.js'
import { holdReads, letRead, whyNotAtBoundary } from '../../sys/node-internals.js'
import type { Connection } from './connection.js'

interface Finished {
  readonly request: IncomingMessage
  readonly socket: Socket
}

/** From commit on, in the predecessor, until it ends. Before, nobody subscribes, and Node publishes nothing. */
export function followBoundaries(kind: SessionKind<Connection>): void {
  subscribe('http.server.response.finish', (message) => {
    const { request, socket } = message as Finished
    // Said before Node has let the response go. Nothing is read before this tick.
    if (kind.get(socket) !== undefined) process.nextTick(look, kind, socket, request)
  })
}

function look(kind: SessionKind<Connection>, socket: Socket, request: IncomingMessage): void {
  const connection = kind.get(socket)
  if (connection === undefined) return
  if (whyNotAtBoundary(socket, connection.bytesAtStart) === undefined) {
    move(kind, socket)
    return
  }
  // It was answered before all of it had come.
  if (!request.complete && !request.destroyed) request.once('end', () => process.nextTick(look, kind, socket, request))
}

function move(kind: SessionKind<Connection>, socket: Socket): void {
  // The client's next request may have come already: read here, it would be answered here, and so for ever.
  holdReads(socket)
  kind.touch(socket)
  // It is tried in the next turn. Where it was not taken it is served on.
  setImmediate(() => setImmediate(() => letRead(socket)))
}
