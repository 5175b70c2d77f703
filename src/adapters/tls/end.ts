/** How a connection is ended without a reset. */
import type { Socket } from 'node:net'
import { readOn } from '../../sys/node-internals.js'

/** How long an ended connection may stay silent before it is closed, when the client does not close it. */
const LINGER_MS = 2000

const ending = new WeakSet<Socket>()
const ignore = (): void => undefined

/**
 * Sends what is written, close_notify and FIN, and goes on reading until the client has closed: the last close with unread
 * bytes in the kernel is a reset, and takes from the client what it has not read. What comes from now on is thrown away.
 */
export function endPolitely(socket: Socket): void {
  if (ending.has(socket)) return
  ending.add(socket)
  // The http parser reads past the stream; Node takes the bytes from it for whoever listens for 'data'.
  socket.on('data', ignore)
  for (const event of ['data', 'readable', 'end']) {
    for (const listener of socket.listeners(event))
      if (listener !== ignore) socket.removeListener(event, listener as () => void)
  }
  socket.end()
  socket.resume()
  readOn(socket)
  linger(socket)
}

/** Closes a socket that has been ended, when its client closes it or says nothing more. */
export function linger(socket: Socket): void {
  socket.on('error', ignore)
  socket.removeAllListeners('timeout')
  socket.setTimeout(LINGER_MS, () => socket.destroy())
  socket.once('end', () => socket.destroy())
}
