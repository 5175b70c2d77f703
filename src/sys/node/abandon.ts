/** Closing a copy of a connection that goes on in another process. */
import { EventEmitter } from 'node:events'
import net from 'node:net'
import { forgetWrites } from './buffers.js'
import { releaseParser } from './http.js'
import { ignore, inside, type WriteRequest } from './private.js'

const NONE = new Map<unknown, WriteRequest[]>()

/**
 * Closes this process' copy of a socket another process has taken over: no FIN, no 'close', no write callback, nothing the
 * app could take for the end of the connection. libuv closes the descriptor itself, which also takes it out of epoll: the
 * other process keeps the description alive, and epoll would go on waking us for it.
 */
export function abandon(socket: net.Socket, inFlight: Map<unknown, WriteRequest[]>): void {
  silently(socket, inFlight)
}

/** Destroys a socket without a word to the app, whose own destroy() is not asked either: it would take it for the end. */
export function silently(socket: net.Socket, inFlight = NONE): void {
  forgetWrites(socket, inFlight)
  releaseParser(socket)
  // Told of each listener that is taken off, the app might throw, and the sockets after this one would stay with us.
  Reflect.deleteProperty(inside(socket)._events, 'removeListener')
  EventEmitter.prototype.removeAllListeners.call(socket)
  EventEmitter.prototype.on.call(socket, 'error', ignore)
  net.Socket.prototype.destroy.call(socket)
}
