/** Node's caches of a socket's options. A stale one makes setNoDelay(false) a silent no-op. */
import net from 'node:net'
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
  /** Since Node 24. */
  readonly interval: symbol | undefined
  readonly count: symbol | undefined
  readonly typeOfService: symbol | undefined
}
let keys: Keys | undefined

function keysOf(): Keys {
  keys ??= learn()
  return keys
}

function learn(): Keys {
  // Some of the fields are there from the first call on.
  const socket = new net.Socket().setKeepAlive(false)
  const key = (name: string) => symbolOf(socket, name)
  return {
    noDelay: key('kSetNoDelay') ?? Symbol('kSetNoDelay'),
    keepAlive: key('kSetKeepAlive') ?? Symbol('kSetKeepAlive'),
    keepAliveSeconds: key('kSetKeepAliveInitialDelay') ?? Symbol('kSetKeepAliveInitialDelay'),
    interval: key('kSetKeepAliveInterval'),
    count: key('kSetKeepAliveCount'),
    typeOfService: key('kSetTOS'),
  }
}

export function optionsOf(socket: net.Socket): Options {
  const { noDelay, keepAlive, keepAliveSeconds } = keysOf()
  const fields = fieldsOf(socket)
  return {
    noDelay: fields[noDelay] === true,
    keepAlive: fields[keepAlive] === true,
    keepAliveSeconds: Number(fields[keepAliveSeconds]) || 0,
  }
}

/** The kernel has them already: they stay with the connection. */
export function knowOptions(socket: net.Socket, options: Options): void {
  const { noDelay, keepAlive, keepAliveSeconds, interval, count } = keysOf()
  const fields = fieldsOf(socket)
  fields[noDelay] = options.noDelay
  fields[keepAlive] = options.keepAlive
  fields[keepAliveSeconds] = options.keepAliveSeconds
  // Only the kernel knows: not equal to anything the app may say, so that Node always tells it.
  if (interval !== undefined) fields[interval] = Number.NaN
  if (count !== undefined) fields[count] = Number.NaN
}

/** True as long as nobody has set others since `knowOptions`. */
export function hasOptions(socket: net.Socket, { noDelay, keepAlive, keepAliveSeconds }: Options): boolean {
  const own = optionsOf(socket)
  return (
    own.noDelay === noDelay &&
    own.keepAlive === keepAlive &&
    own.keepAliveSeconds === keepAliveSeconds &&
    probesOf(socket) === undefined
  )
}

/** What setKeepAlive() was called with since `knowOptions`, of which Node knows only since 24. */
function probesOf(socket: net.Socket): [interval: number | undefined, count: number | undefined] | undefined {
  const { interval, count } = keysOf()
  if (interval === undefined || count === undefined) return undefined
  const fields = fieldsOf(socket) as Record<symbol, number | undefined>
  return Number.isNaN(fields[interval] ?? 0) ? undefined : [fields[interval], fields[count]]
}

/** Tells the kernel what the app has set while the socket had no handle, and `before` was what the kernel had. */
export function applyOptions(socket: net.Socket, before: Options): void {
  const { noDelay, keepAlive, keepAliveSeconds } = optionsOf(socket)
  const handle = inside(socket)._handle
  if (noDelay !== before.noDelay) handle?.setNoDelay?.(noDelay)
  const probes = probesOf(socket)
  const isSaid = probes !== undefined || keepAliveSeconds !== before.keepAliveSeconds
  if (keepAlive !== before.keepAlive || (keepAlive && isSaid))
    handle?.setKeepAlive?.(keepAlive, keepAliveSeconds, ...(probes ?? []))
  const service = typeOfServiceSet(socket)
  if (service !== undefined) handle?.setTypeOfService?.(service)
}

/** What setTypeOfService() was called with while the socket had no handle. */
export function typeOfServiceSet(socket: net.Socket): number | undefined {
  const { typeOfService } = keysOf()
  return typeOfService === undefined ? undefined : (fieldsOf(socket)[typeOfService] as number | undefined)
}

export function isUnrefed(socket: net.Socket): boolean {
  return inside(socket)._handle?.hasRef?.() === false
}

/** unref() before commit would wait, and undo the ref() of an app that has called that first. */
export function unrefSilently(socket: net.Socket): void {
  inside(socket)._handle?.unref?.()
}
