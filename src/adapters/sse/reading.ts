/** The client's side of a stream: it has nothing to say but its end. What it says all the same is kept for the next response. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { listen } from './output.js'

/**
 * A listener of 'readable'. What the client pipelines behind its request stays in the socket, which stops reading at its
 * high-water mark; with nothing in front of it the client's FIN is heard.
 */
export function endsAreSeen(socket: Socket): () => void {
  return () => {
    if (socket.readableLength === 0) socket.read()
  }
}

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
