/** Node's caches of a socket's options. A stale one makes setNoDelay(false) a silent no-op. */
import type net from 'node:net'
import { fieldsOf, inside, symbolOf } from './private.js'

export interface Options {
  readonly noDelay: boolean
  readonly keepAlive: boolean
  readonly keepAliveSeconds: number
}

interface Keys {
  readonly noDelay: symbol
  readonly keepAlive: symbol
  readonly keepAliveSeconds: symbol
}
let keys: Keys | undefined

function keysOf(socket: net.Socket): Keys {
  keys ??= {
    noDelay: symbolOf(socket, 'kSetNoDelay') ?? Symbol('kSetNoDelay'),
    keepAlive: symbolOf(socket, 'kSetKeepAlive') ?? Symbol('kSetKeepAlive'),
    keepAliveSeconds: symbolOf(socket, 'kSetKeepAliveInitialDelay') ?? Symbol('kSetKeepAliveInitialDelay'),
  }
  return keys
}

export function optionsOf(socket: net.Socket): Options {
  const { noDelay, keepAlive, keepAliveSeconds } = keysOf(socket)
  const fields = fieldsOf(socket)
  return {
    noDelay: fields[noDelay] === true,
    keepAlive: fields[keepAlive] === true,
    keepAliveSeconds: Number(fields[keepAliveSeconds]) || 0,
  }
}

/** The kernel has them already: they stay with the connection. */
export function knowOptions(socket: net.Socket, options: Options): void {
  const { noDelay, keepAlive, keepAliveSeconds } = keysOf(socket)
  const fields = fieldsOf(socket)
  fields[noDelay] = options.noDelay
  fields[keepAlive] = options.keepAlive
  fields[keepAliveSeconds] = options.keepAliveSeconds
}

export function hasOptions(socket: net.Socket, { noDelay, keepAlive, keepAliveSeconds }: Options): boolean {
  const own = optionsOf(socket)
  return own.noDelay === noDelay && own.keepAlive === keepAlive && own.keepAliveSeconds === keepAliveSeconds
}

/** Tells the kernel what the app has set while the socket had no handle, and `before` was what the kernel had. */
export function applyOptions(socket: net.Socket, before: Options): void {
  const { noDelay, keepAlive, keepAliveSeconds } = optionsOf(socket)
  const handle = inside(socket)._handle
  if (noDelay !== before.noDelay) handle?.setNoDelay?.(noDelay)
  if (keepAlive !== before.keepAlive || (keepAlive && keepAliveSeconds !== before.keepAliveSeconds))
    handle?.setKeepAlive?.(keepAlive, keepAliveSeconds)
}
