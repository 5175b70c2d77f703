/** Who uses which socket, for the time of a copy: nothing has to be looked for afterwards. */
import net from 'node:net'

/**
 * Whatever changes what travels goes through one of these. `_unrefTimer` is what Node calls on every read, write and
 * completed write (lib/net.js, lib/internal/stream_base_commons.js), for the idle timer. `emit` hears what Node does by
 * itself: the timer that fires (it was bound when it was armed, so `_onTimeout` is too late), 'end', 'finish', 'resume'.
 * Those that begin with _ are also called when an app has kept a method, and put one of its own in its place.
 */
export const USES = [
  '_unrefTimer',
  '_read',
  '_write',
  '_writev',
  '_final',
  '_destroy',
  'emit',
  'write',
  'end',
  'cork',
  'uncork',
  'read',
  'push',
  'unshift',
  'pause',
  'resume',
  'pipe',
  'unpipe',
  // 'readable' decides whether a socket counts as paused.
  'on',
  'addListener',
  'off',
  'removeListener',
  'removeAllListeners',
  'setEncoding',
  'setTimeout',
  'setNoDelay',
  'setKeepAlive',
  'ref',
  'unref',
  'destroy',
] as const

type Method = (this: net.Socket, ...words: unknown[]) => unknown

let restore: (() => void)[] = []
const listeners = new Set<(socket: net.Socket) => void>()

/**
 * Calls `onUsed` for each use of a socket of this process, before it, until the returned function is called. The methods
 * of net.Socket.prototype are wrapped for that time, and no socket is touched.
 */
export function followUse(onUsed: (socket: net.Socket) => void): () => void {
  if (listeners.size === 0) wrap()
  // Of its own: the same function may follow twice.
  const listener = (socket: net.Socket): void => onUsed(socket)
  listeners.add(listener)
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return
    for (const step of restore) step()
    restore = []
  }
}

function wrap(): void {
  const prototype = net.Socket.prototype as unknown as Record<string, Method>
  for (const name of USES) {
    const own = Object.getOwnPropertyDescriptor(prototype, name)
    const method = prototype[name] as Method
    const wrapped: Method = function (...words) {
      for (const listener of listeners) listener(this)
      return method.apply(this, words)
    }
    Object.defineProperty(prototype, name, { configurable: true, writable: true, ...own, value: wrapped })
    restore.push(() => {
      // Somebody has wrapped it once more since: theirs stays, and calls through ours.
      if (prototype[name] !== wrapped) return
      if (own === undefined) Reflect.deleteProperty(prototype, name)
      else Object.defineProperty(prototype, name, own)
    })
  }
}
