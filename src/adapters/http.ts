/**
 * HTTP/1 servers: node:http, and with it express, koa, fastify and all that build on it. Keep-alive connections move between
 * two messages. See docs/http.md.
 */
import { Server } from 'node:http'
import type { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import { hostOf } from '../runtime/adapter.js'
import type { Runtime, SessionKind } from '../runtime/types.js'
import { nowMs } from '../sys/clock.js'
import { countRequests, whyNotAtBoundary } from '../sys/node-internals.js'
import { type Connection, capture, checked, type State } from './http/connection.js'
import { Left } from './http/left.js'
import { Parked } from './http/parked.js'

export interface HttpOptions {
  /** Names the kind of session that connections of this server are: the same in every release. Default 'http'. */
  readonly name?: string
}

export type { Connection }

const served = new WeakSet<Server>()

/**
 * Lets the connections of an HTTP/1 server move: idle ones at once, busy ones between their response and the next request.
 * Before the server listens, and before `runtime.ready()`.
 * @returns the kind of its connections: `hold(socket, reason)` keeps one here for a while.
 * @throws HandoverError HANDOVER_USAGE
 */
export function http(runtime: Runtime, server: Server, { name = 'http' }: HttpOptions = {}): SessionKind<Connection> {
  const host = hostOf(runtime)
  check(server, name)
  const parked = new Parked(server)
  const kind = host.baseSessions<Connection, State>(name, {
    version: 1,
    capture,
    restore(socket, state) {
      const connection = { ...checked(state), bytesAtStart: 0, isParked: true }
      parked.add(socket, connection)
      return connection
    },
    precopy: {
      changes: 'touch',
      update: (_socket, connection, state) => void Object.assign(connection, checked(state)),
      forget: (socket) => parked.forget(socket),
    },
    notNow(socket, { isParked, bytesAtStart }) {
      if (isParked && !socket.readableEnded && !socket.writableEnded) return undefined
      return whyNotAtBoundary(socket, bytesAtStart)
    },
  })
  host.keepConnections(server)
  host.hooks({ onMoved: () => new Left(kind).follow() })
  server.on('connection', (socket: Socket) => {
    const connection = kind.get(socket) ?? open(kind, socket)
    if (connection !== undefined && server.maxRequestsPerSocket)
      countRequests(server, socket, connection.requests, () => connection.requests++)
  })
  served.add(server)
  return kind
}

function check(server: Server, name: string): void {
  const usage = (why: string) => new HandoverError('HANDOVER_USAGE', `http "${name}": ${why}`)
  // An https.Server is none: it is a tls.Server, and its 'connection' is the raw one below the TLS session.
  if (!(server instanceof Server)) throw usage('the server is not an http.Server of this process')
  if (server.listening) throw usage('the server listens already: its connections would be missed')
  if (served.has(server)) throw usage('the server is given to http() for the second time')
}

/** What cannot be a session of this kind (another's, or a stream that is no socket) is served, and drained. */
function open(kind: SessionKind<Connection>, socket: Socket): Connection | undefined {
  try {
    return kind.open(socket, { bytesAtStart: socket.bytesRead, openedAtMs: nowMs(), requests: 0, isParked: false })
  } catch (error) {
    if (error instanceof HandoverError) return undefined
    throw error
  }
}
