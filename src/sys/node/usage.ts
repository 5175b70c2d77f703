/** Who uses which socket, for the time of a copy: nothing has to be looked for afterwards. */
import net from 'node:net'

/**
 * Whatever changes what travels goes through one of these. `_unrefTimer` is what Node calls on every read, write and
 * completed write (lib/net.js, lib/internal/stream_base_commons.js), for the idle timer.
 */
const USES = [
  '_unrefTimer',
  'write',
  'end',
  'cork',
  'uncork',
  'read',
  'push',
  'unshift',
  'pause',
  'resume',
  'setEncoding',
  'setTimeout',
  'setNoDelay',
  'setKeepAlive',
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
  listeners.add(onUsed)
  return () => {
    if (!listeners.delete(onUsed) || listeners.size > 0) return
    for (const step of restore) step()
    restore = []
  }
}

function wrap(): void {
  const prototype = net.Socket.prototype as unknown as Record<string, Method>
  for (const name of USES) {
    const own = Object.getOwnPropertyDescriptor(prototype, name)
    const method = prototype[name] as Method
    prototype[name] = function (...words) {
      for (const listener of listeners) listener(this)
      return method.apply(this, words)
    }
    restore.push(() => {
      if (own === undefined) Reflect.deleteProperty(prototype, name)
      else Object.defineProperty(prototype, name, own)
    })
  }
}
