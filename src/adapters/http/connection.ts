/** What is known of one connection of an http server, and what of it travels. */
import type { Socket } from 'node:net'

export interface Connection {
  /** `socket.bytesRead` when the server got it: what it is still means that no byte has come. */
  bytesAtStart: number
  /** When it was opened (nowMs), until its first byte: headersTimeout runs from here. Null when it has had a request. */
  openedAtMs: number | null
  /** Counted only for a server with maxRequestsPerSocket. */
  requests: number
  /** Adopted, and without a byte since: its server has not got it yet. */
  isParked: boolean
}

export interface State {
  readonly openedAtMs: number | null
  readonly requests: number
}

export function capture(socket: Socket, connection: Connection): State {
  const { bytesAtStart, openedAtMs, requests, isParked } = connection
  const isUnused = isParked || socket.bytesRead === bytesAtStart
  return { openedAtMs: isUnused ? openedAtMs : null, requests }
}

/** Throws when it is not what `capture` returns: the other generation may be anything. */
export function checked(state: unknown): State {
  const { openedAtMs, requests } = (state ?? {}) as Partial<State>
  if (openedAtMs !== null && !Number.isFinite(openedAtMs)) throw new Error('openedAtMs is no time')
  if (!Number.isSafeInteger(requests) || (requests as number) < 0) throw new Error('requests is no count')
  return { openedAtMs: openedAtMs as number | null, requests: requests as number }
}
