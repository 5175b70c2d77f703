/** Closing a copy of a connection that goes on in another process. */
import type net from 'node:net'
import { forgetWrites } from './buffers.js'
import { ignore, type WriteRequest } from './private.js'

/**
 * Closes this process' copy of a socket another process has taken over: no FIN, no 'close', no write callback, nothing the
 * app could take for the end of the connection. libuv closes the descriptor itself, which also takes it out of epoll: the
 * other process keeps the description alive, and epoll would go on waking us for it.
 */
export function abandon(socket: net.Socket, inFlight: Map<unknown, WriteRequest[]>): void {
  forgetWrites(socket, inFlight)
  socket.removeAllListeners()
  socket.on('error', ignore)
  socket.destroy()
}
