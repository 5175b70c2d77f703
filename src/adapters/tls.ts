/**
 * TLS and HTTP/2 servers: https, tls, http2, secure or not. Their sessions cannot leave the process that made them: the
 * predecessor drains them without a reset, and the successor resumes them when their clients come back. See docs/tls.md.
 */
import { Server as HttpServer } from 'node:http'
import type { Server } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { HandoverError } from '../errors.js'
import { hostOf } from '../runtime/adapter.js'
import type { Runtime } from '../runtime/types.js'
import { Http1 } from './tls/http1.js'
import { Http2 } from './tls/http2.js'
import { Resumption } from './tls/resumption.js'

export interface TlsOptions {
  /** Names the shared state that holds what clients resume their sessions by: the same in every release. Default 'tls'. */
  readonly name?: string
}

const served = new WeakSet<Server>()

/**
 * Drains the connections of a TLS or HTTP/2 server politely after an upgrade, and lets their clients resume their TLS sessions
 * on the successor. Before the server listens, and right after it was made: what the app tells the server of ticket keys from
 * here on counts as the app's own decision.
 * @param server an https.Server, a tls.Server, or what http2.createServer() or createSecureServer() returned
 * @throws HandoverError HANDOVER_USAGE
 */
export function tls(runtime: Runtime, server: Server, { name = 'tls' }: TlsOptions = {}): void {
  const host = hostOf(runtime)
  check(server, name)
  const isTls = server instanceof TlsServer
  if (isTls) host.optionalState(name, new Resumption(server).definition)
  const http1 = new Http1(server)
  const http2 = new Http2(server)
  host.drainConnections(server, {
    reason: `${isTls ? 'a TLS' : 'an HTTP/2'} session cannot leave its process`,
    end() {
      http2.end()
      http1.end()
    },
  })
  host.hooks({
    onMoved() {
      http2.retire()
      http1.retire()
    },
  })
  served.add(server)
}

function check(server: Server, name: string): void {
  const usage = (why: string) => new HandoverError('HANDOVER_USAGE', `tls "${name}": ${why}`)
  if (server instanceof HttpServer) throw usage('an http.Server has no TLS sessions: give it to handover/http')
  if (!(server instanceof TlsServer) && typeof (server as { updateSettings?: unknown }).updateSettings !== 'function')
    throw usage('the server is none of https, tls or http2')
  if (server.listening) throw usage('the server listens already: its connections would be missed')
  if (served.has(server)) throw usage('the server is given to tls() for the second time')
}
