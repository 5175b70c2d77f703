/**
 * The pings of a client go on from where they were: the first time they take what is left, and from then on the library's
 * own timers run. `refresh()` is how the library begins them anew (engine.io lib/socket.ts, onPacket).
 */
import { nowMs } from '../../sys/clock.js'

import type { EngineServer, EngineSocket } from './internals.js'
import type { ClientState } from './record.js'

export function resumePings(conn: EngineSocket, engine: EngineServer, state: ClientState): void {
  clearTimeout(conn.pingIntervalTimer as NodeJS.Timeout)
  clearTimeout(conn.pingTimeoutTimer as NodeJS.Timeout)
  const { pingInterval, pingTimeout } = engine.opts
  const { pingAtMs, pongByMs } = state
  conn.hasRefreshedPingTimeout = state.refreshed
  // A third revision's client pings itself, and has no such timer.
  if (conn.pingIntervalTimer !== null) {
    const ping = () => {
      conn.hasRefreshedPingTimeout = false
      conn.sendPacket('ping')
      conn.resetPingTimeout(pingTimeout)
    }
    conn.pingIntervalTimer = once(pingAtMs, ping, () => {
      clearTimeout(conn.pingIntervalTimer as NodeJS.Timeout)
      conn.schedulePing()
    })
  }
  if (pongByMs === null) conn.pingTimeoutTimer = null
  else
    conn.pingTimeoutTimer = once(
      pongByMs,
      () => {
        if (conn.readyState !== 'closed') conn.onClose('ping timeout')
      },
      () => conn.resetPingTimeout(conn.protocol === 3 ? pingInterval + pingTimeout : pingTimeout),
    )
}

/** @param atMs null: it has fired, and only begins anew. */
function once(atMs: number | null, fire: () => void, begin: () => void): NodeJS.Timeout {
  const timer = setTimeout(atMs === null ? () => undefined : fire, atMs === null ? 1 : Math.max(1, atMs - nowMs()))
  if (atMs === null) clearTimeout(timer)
  timer.refresh = () => {
    begin()
    return timer
  }
  return timer
}
