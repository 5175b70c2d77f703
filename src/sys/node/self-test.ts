/** Whether all of it is there. */
import net from 'node:net'
import { keepOutputReadable, unreadInput } from './buffers.js'
import { canListenHeld } from './listener.js'
import { inside, symbolOf } from './private.js'
import { timerOf } from './timers.js'

let tested: string | undefined | null = null

/** What of Node's private fields this Node does not have, or undefined when all of it is there. */
export function unsupported(): string | undefined {
  if (tested === null) tested = selfTest()
  return tested
}

function selfTest(): string | undefined {
  const socket = new net.Socket()
  try {
    const { _writableState: writable, _readableState: readable } = inside(socket)
    keepOutputReadable(socket)
    if (writable.decodeStrings !== true || typeof writable.getBuffer !== 'function') return 'stream.Writable state'
    if (typeof readable?.buffer?.[Symbol.iterator] !== 'function') return 'stream.Readable state'
    if (typeof (process as { _getActiveRequests?: unknown })._getActiveRequests !== 'function')
      return 'process._getActiveRequests'
    if (!canListenHeld()) return 'net._createServerHandle'
    for (const hook of ['_unrefTimer', '_onTimeout', '_writeGeneric', '_getsockname'] as const)
      if (typeof inside(socket)[hook] !== 'function') return `net.Socket ${hook}`
    for (const name of ['async_id_symbol', 'kSetNoDelay', 'kSetKeepAlive', 'kSetKeepAliveInitialDelay'])
      if (symbolOf(socket, name) === undefined) return `net.Socket ${name}`
    if (!Object.hasOwn(socket, 'connecting') || inside(socket)._handle !== null) return 'net.Socket before connect'
    socket.setTimeout(1000)
    const timer = timerOf(socket)
    if (typeof timer?._idleTimeout !== 'number' || typeof timer._idleStart !== 'number') return 'socket timer'
    if (timer._destroyed !== false || typeof timer._onTimeout !== 'function') return 'socket timer state'
    socket.pause()
    socket.push(Buffer.from('ab'))
    if (unreadInput(socket).toString() !== 'ab') return 'stream.Readable buffer'
    return undefined
  } catch (error) {
    return String(error)
  } finally {
    socket.destroy()
  }
}
