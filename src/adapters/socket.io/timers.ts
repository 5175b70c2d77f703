/**
 * The pings of a client go on from where they were: the first time they take what is left, and from then on the library's
 * own timers run. `refresh()` is how the library begins them anew (engine.io lib/socket.ts, onPacket).
 */
import { nowMs } from '../../sys/clock.js'

import type { EngineServer, EngineSocket } from './internals.js'
import type { ClientState } from './record.js'

/**
 * Nothing is armed before commit: until then the predecessor pings. What comes in between (a pong is read right at commit) is as
 * if they were.
 * @returns what arms them.
 */
export function resumePings(conn: EngineSocket, engine: EngineServer, state: ClientState): () => void {
  clearTimeout(conn.pingIntervalTimer as NodeJS.Timeout)
  clearTimeout(conn.pingTimeoutTimer as NodeJS.Timeout)
  const { pingInterval, pingTimeout } = engine.opts
  conn.hasRefreshedPingTimeout = state.refreshed
  const ping = () => {
    conn.hasRefreshedPingTimeout = false
    conn.sendPacket('ping')
    conn.resetPingTimeout(pingTimeout)
  }
  const giveUp = () => {
    if (conn.readyState !== 'closed') conn.onClose('ping timeout')
  }
  const nextPing = () => {
    clearTimeout(conn.pingIntervalTimer as NodeJS.Timeout)
    conn.schedulePing()
  }
  const awaitPong = () => conn.resetPingTimeout(conn.protocol === 3 ? pingInterval + pingTimeout : pingTimeout)
  // A client of the third revision pings by itself, and there is no such timer.
  const interval = conn.pingIntervalTimer === null ? null : idle(nextPing)
  const timeout = state.pongByMs === null ? null : idle(awaitPong)
  conn.pingIntervalTimer = interval
  conn.pingTimeoutTimer = timeout
  return () => {
    const { pingAtMs, pongByMs } = state
    if (conn.readyState === 'closed') return
    if (interval !== null && conn.pingIntervalTimer === interval && pingAtMs !== null)
      conn.pingIntervalTimer = once(pingAtMs, ping, nextPing)
    if (timeout !== null && conn.pingTimeoutTimer === timeout && pongByMs !== null)
      conn.pingTimeoutTimer = once(pongByMs, giveUp, awaitPong)
  }
}

/** A timer that fires then, and begins anew as the library's own do. */
function once(atMs: number, fire: () => void, begin: () => void): NodeJS.Timeout {
  return beginning(setTimeout(fire, Math.max(1, atMs - nowMs())), begin)
}

/** One that has fired. */
function idle(begin: () => void): NodeJS.Timeout {
  const timer = setTimeout(() => undefined, 1)
  clearTimeout(timer)
  return beginning(timer, begin)
}

function beginning(timer: NodeJS.Timeout, begin: () => void): NodeJS.Timeout {
  timer.refresh = () => {
    begin()
    return timer
  }
  return timer
}
