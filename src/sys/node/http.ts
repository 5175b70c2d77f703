/**
 * Node's HTTP/1 server: whether a connection stands between two messages, and how it is taken out of its server. Read off
 * lib/_http_server.js, lib/_http_common.js, lib/net.js and src/node_http_parser.cc.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server } from 'node:http'
import type net from 'node:net'
import { fieldsOf, type Handle, inside, symbolOf } from './private.js'

/** llhttp, from C++. There is one for each connection, until it is upgraded or closed. */
interface Parser {
  /** Its handle's bytes go to it directly, past the stream. */
  _consumed: boolean
  incoming: IncomingMessage | null
  socket: object | null
  onIncoming: unknown
  unconsume(): void
  /** Takes it out of the server's list. */
  remove(): void
  close(): void
}

/** The server's list of parsers, by what headersTimeout and requestTimeout look. */
interface Connections {
  /** Those that are in the middle of a message, from its first byte to its last, and those that have not had a byte yet. */
  active(): Parser[]
}

interface PrivateHttpSocket {
  parser?: Parser | null
  /** The response under way, until its last byte is the kernel's; pipelined ones follow it at once. */
  _httpMessage?: object | null
  /** Node stands still with it: too much of pipelined responses waits. */
  _paused?: boolean
  server?: Server
  _server: Server | null
}

const insideHttp = (socket: net.Socket) => socket as unknown as PrivateHttpSocket

const NO_LIST = 'this Node, or a server that does not listen, keeps no list of http parsers'

let connectionsKey: symbol | undefined

function connectionsOf(server: Server | undefined): Connections | undefined {
  if (server === undefined) return undefined
  connectionsKey ??= symbolOf(server, 'http.server.connections')
  const list = connectionsKey && (fieldsOf(server)[connectionsKey] as Connections | undefined)
  return typeof list?.active === 'function' ? list : undefined
}

/** Parsers in the middle of a message, by server: looked up once for all connections of one turn of the loop. */
let busy: Map<Server, ReadonlySet<Parser>> | undefined

function busyOf(server: Server, list: Connections): ReadonlySet<Parser> {
  if (busy === undefined) {
    busy = new Map()
    queueMicrotask(() => {
      busy = undefined
    })
  }
  const known = busy.get(server) ?? new Set(list.active())
  busy.set(server, known)
  return known
}

/**
 * Whether part of a request has come and the rest has not: then it is in llhttp, and cannot be had from there. Holds for
 * the turn it is asked in. True, too, where this Node cannot say.
 * @param bytesAtStart `socket.bytesRead` when the connection was given to its server ('connection'): until its first byte
 * llhttp says of a connection that it is in the middle of one.
 */
export function isParsing(socket: net.Socket, bytesAtStart: number): boolean {
  const { parser, server } = insideHttp(socket)
  if (!parser || server === undefined) return false
  const list = connectionsOf(server)
  if (list === undefined) return true
  return busyOf(server, list).has(parser) && socket.bytesRead !== bytesAtStart
}

/**
 * Why a connection does not stand between two messages, in a few words; undefined when it does: nothing is half-received,
 * no response is under way, and nothing of the next request has been parsed. Holds for the turn it is asked in.
 * @param bytesAtStart see isParsing
 */
export function whyNotAtBoundary(socket: net.Socket, bytesAtStart: number): string | undefined {
  const { parser, server, _httpMessage, _paused } = insideHttp(socket)
  if (socket.destroyed || socket.writableEnded || socket.readableEnded) return 'it is closing'
  if (!parser) return 'it was upgraded, or is a CONNECT tunnel: another protocol'
  if (connectionsOf(server) === undefined) return NO_LIST
  if (typeof parser.remove !== 'function' || typeof parser.close !== 'function')
    return 'the http parser of this Node cannot be taken out of its server'
  if (_httpMessage) return 'a response is in progress'
  if (isParsing(socket, bytesAtStart)) return 'half a request has come'
  if (_paused || socket.isPaused()) return 'it is paused'
  if (socket.writableLength > 0 || (inside(socket)._handle?.writeQueueSize ?? 0) > 0)
    return 'output is still to be sent'
  return undefined
}

export const isAtBoundary = (socket: net.Socket, bytesAtStart: number): boolean =>
  whyNotAtBoundary(socket, bytesAtStart) === undefined

/** Reads nothing more from the kernel. Not pause(), which the app would see, and which would move with the socket. */
export function holdReads(socket: net.Socket): void {
  const handle = inside(socket)._handle
  if (!handle?.reading) return
  handle.reading = false
  handle.readStop()
}

/** The other way round. */
export function letRead(socket: net.Socket): void {
  const handle: Handle | null = inside(socket)._handle
  if (!handle || handle.reading || socket.isPaused()) return
  handle.reading = true
  handle.readStart()
}

/**
 * Takes a connection that goes on elsewhere out of its http server: its timeouts would be told of it, and 'clientError' with
 * them, for as long as the server lives.
 */
export function releaseParser(socket: net.Socket): void {
  const { parser } = insideHttp(socket)
  if (!parser || typeof parser.remove !== 'function') return
  if (parser._consumed) parser.unconsume()
  parser._consumed = false
  parser.remove()
  parser.incoming = null
  parser.socket = null
  parser.onIncoming = null
  insideHttp(socket).parser = null
  // Its own stack may be the one that runs, as in freeParser().
  setImmediate(close, parser)
}

function close(parser: Parser): void {
  parser.close()
}

/**
 * Counts an adopted socket as a connection of this server: getConnections(), maxConnections and the callback of close() know
 * it, until it is destroyed. One that moves away is no longer counted by itself.
 */
export function countConnection(server: Server, socket: net.Socket): void {
  const counter = server as unknown as { _connections?: number }
  const own = insideHttp(socket)
  own.server = server
  if (typeof counter._connections !== 'number' || own._server === undefined || own._server !== null) return
  own._server = server
  counter._connections++
}

/** The request that is being received, from its head to its end; undefined before and after. */
export function incomingRequest(socket: net.Socket): IncomingMessage | undefined {
  const request = insideHttp(socket).parser?.incoming
  return request && !request.complete ? request : undefined
}

type OnIncoming = (this: unknown, request: IncomingMessage, keepAlive: boolean) => unknown

/** Lessens the limit of the server whose request begins. */
let lessen: (() => void) | undefined
let isSubscribed = false

/**
 * Tells of each request that maxRequestsPerSocket counts, and lets the count begin at `before`. Node's own is in a closure: so
 * while it looks at one of these requests the server's limit is less by as much. Only for servers that have that limit.
 * @param socket has its parser since 'connection'.
 */
export function countRequests(server: Server, socket: net.Socket, before: number, onRequest: () => void): void {
  const { parser } = insideHttp(socket)
  const own = parser?.onIncoming as OnIncoming | undefined
  if (!parser || typeof own !== 'function') return
  if (before > 0 && !isSubscribed) {
    // Said when the response has taken the limit for its header, and right before it is looked at.
    subscribe('http.server.request.start', () => lessen?.())
    isSubscribed = true
  }
  const counted: OnIncoming = function (request, keepAlive) {
    if (request.httpVersionMajor === 1 && request.httpVersionMinor === 1) onRequest()
    const limit = server.maxRequestsPerSocket
    if (!limit || limit <= 0 || before === 0) return own.call(this, request, keepAlive)
    // Where there is none left a limit that is below the first: each request is dropped.
    const left = limit > before ? limit - before : 0.5
    lessen = () => {
      server.maxRequestsPerSocket = left
    }
    try {
      return own.call(this, request, keepAlive)
    } finally {
      lessen = undefined
      if (server.maxRequestsPerSocket === left) server.maxRequestsPerSocket = limit
    }
  }
  parser.onIncoming = counted
}
