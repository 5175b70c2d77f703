/** The client's side of a stream: it has nothing to say but its end. What it says all the same is kept for the next response. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { hasReadEnd } from '../../sys/node-internals.js'
import { listen } from './output.js'

/**
 * A listener of 'readable'. What the client pipelines behind its request stays in the socket, which stops reading at its
 * high-water mark. Its FIN ends the connection, as in Node's own server; behind what is not read there is no 'end' for it.
 */
export function endsAreSeen(socket: Socket, allowHalfOpen: boolean): () => void {
  return () => {
    if (socket.readableLength === 0) socket.read()
    else if (hasReadEnd(socket) && !allowHalfOpen) socket.destroySoon()
  }
}

export const allowsHalfOpen = (server: object | undefined): boolean =>
  (server as { httpAllowHalfOpen?: boolean } | undefined)?.httpAllowHalfOpen === true

/**
 * A connection whose stream has ended, in a process whose HTTP server has not accepted it. The server gets it with its first
 * byte: it would take a connection that says nothing for one that is late with its headers. `onLeft` is called before.
 */
export function serveNext(socket: Socket, server: Server, onLeft: () => void): void {
  const pass = (): void => {
    stop()
    socket.setTimeout(0)
    onLeft()
    server.emit('connection', socket)
  }
  const look = (): void => {
    if (socket.readableLength > 0) pass()
    else socket.read()
  }
  const end = (): void => void socket.end()
  const stop = listen(socket, { readable: look, end, timeout: end, error: () => undefined })
  if (!socket.connecting && socket.readableLength > 0) pass()
}
