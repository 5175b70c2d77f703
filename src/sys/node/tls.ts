/**
 * What decides whether a TLS server resumes a client's session, and what is under way on an HTTP/1 connection. Read off
 * lib/_tls_wrap.js (since Node 22 lib/internal/tls/wrap.js) and lib/_http_server.js.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Server } from 'node:tls'
import { inside } from './private.js'

interface PrivateTlsServer {
  /** Also what setSecureContext() uses when it is called without one, so it has to be told each time. */
  sessionIdContext?: unknown
  /** Only what the app has given as an option. */
  ticketKeys?: unknown
  _sharedCreds?: { readonly context?: { setSessionIdContext?(context: string): void } }
}

const insideTls = (server: Server) => server as unknown as PrivateTlsServer

/**
 * OpenSSL resumes no session of another context, and Node's default is derived from the arguments of the process: another
 * release has another. Undefined where this Node keeps it elsewhere.
 */
export function sessionIdContextOf(server: Server): string | undefined {
  const { sessionIdContext, _sharedCreds } = insideTls(server)
  if (typeof _sharedCreds?.context?.setSessionIdContext !== 'function') return undefined
  return typeof sessionIdContext === 'string' ? sessionIdContext : undefined
}

/** For the handshakes that begin from now on, until the next setSecureContext(). */
export function setSessionIdContext(server: Server, context: string): void {
  const own = insideTls(server)
  if (sessionIdContextOf(server) === undefined) return
  own._sharedCreds?.context?.setSessionIdContext?.(context)
  own.sessionIdContext = context
}

/** False when it is Node's default. */
export function isContextGiven(server: Server): boolean {
  const ofArguments = createHash('sha1').update(process.argv.join(' ')).digest('hex').slice(0, 32)
  return sessionIdContextOf(server) !== ofArguments
}

export const areTicketKeysGiven = (server: Server): boolean => insideTls(server).ticketKeys !== undefined

interface PrivateHttpSocket {
  parser?: { readonly incoming?: unknown } | null
  _httpMessage?: ServerResponse | null
}

/** The response under way on an HTTP/1 connection, unless requests were pipelined behind its own. */
export function lastResponse(socket: Duplex): ServerResponse | undefined {
  const { parser, _httpMessage } = socket as unknown as PrivateHttpSocket
  return _httpMessage && parser?.incoming === _httpMessage.req ? _httpMessage : undefined
}

/**
 * Reads from the kernel, whoever has stopped it: the http parser does when nobody takes a request's body, behind the back of
 * the stream, which then believes that it reads.
 */
export function readOn(socket: Socket): void {
  const handle = inside(socket)._handle
  if (!handle) return
  handle.reading = true
  handle.readStart()
}
