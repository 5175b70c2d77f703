/** A socket's idle timer: how long until it fires, and how it goes on from there. */
import type net from 'node:net'
import { fieldsOf, ignore, symbolOf } from './private.js'

export interface Timeout {
  _idleStart: number
  _idleTimeout: number
  _onTimeout: unknown
  readonly _destroyed: boolean
}

/** Timers that were armed to fire earlier than their socket's timeout says, and have not been refreshed since. */
const armedEarly = new WeakMap<Timeout, { readonly start: number; readonly leftMs: number }>()

let timeoutKey: symbol | undefined

export function timerOf(socket: net.Socket): Timeout | undefined {
  timeoutKey ??= symbolOf(socket, 'timeout')
  return timeoutKey === undefined ? undefined : ((fieldsOf(socket)[timeoutKey] as Timeout | null) ?? undefined)
}

/** Milliseconds until the socket's own idle timer fires: Infinity when it has, until the next activity; undefined when there is none. */
export function idleLeftMs(socket: net.Socket): number | undefined {
  if (socket.timeout === undefined || socket.timeout === 0) return undefined
  const timer = timerOf(socket)
  if (timer === undefined) return undefined
  if (timer._destroyed) return Number.POSITIVE_INFINITY
  const early = armedEarly.get(timer)
  const wholeMs = early?.start === timer._idleStart ? early.leftMs : timer._idleTimeout
  return Math.max(1, wholeMs - Math.max(0, timerClockMs() - timer._idleStart))
}

/** Milliseconds until a timer of setTimeout() fires; undefined when it has fired, or was cleared, and is not armed again. */
export function timeLeftMs(timer: NodeJS.Timeout): number | undefined {
  const { _destroyed, _idleStart, _idleTimeout, _onTimeout } = timer as unknown as Timeout
  if (_destroyed || _onTimeout === null || _idleTimeout < 0) return undefined
  return Math.max(0, _idleTimeout - Math.max(0, timerClockMs() - _idleStart))
}

/** The clock of `_idleStart`. It began some tens of milliseconds after performance.now(), and only a timer tells it. */
function timerClockMs(): number {
  const timer = setTimeout(ignore, 1)
  clearTimeout(timer)
  return (timer as unknown as Timeout)._idleStart
}

/** Arms the idle timer to fire in `leftMs` once (Infinity: not at all), and after the next activity in the full `timeoutMs`. */
export function resumeIdleTimer(socket: net.Socket, timeoutMs: number, leftMs: number): void {
  const firstMs = Math.max(1, Math.min(leftMs, timeoutMs))
  socket.setTimeout(firstMs)
  const timer = timerOf(socket)
  if (timer === undefined) {
    socket.setTimeout(timeoutMs)
  } else if (leftMs === Number.POSITIVE_INFINITY) {
    // As it is left by its own firing: refresh() arms it again.
    const { _onTimeout } = timer
    clearTimeout(timer as unknown as NodeJS.Timeout)
    Object.assign(timer, { _onTimeout, _idleTimeout: timeoutMs })
  } else {
    // Read by refresh(); until then the timer is in the list of those that take `firstMs`.
    timer._idleTimeout = timeoutMs
    armedEarly.set(timer, { start: timer._idleStart, leftMs: firstMs })
  }
  knowTimeout(socket, timeoutMs)
}

/** To the app it has that timeout; no timer is armed. */
export function knowTimeout(socket: net.Socket, timeoutMs: number): void {
  ;(socket as { timeout?: number }).timeout = timeoutMs
}
