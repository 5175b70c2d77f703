/** What Node's HTTP server does not say about a response that goes on for long: who reads the connection, and how its end is told. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type net from 'node:net'
import { isParsing } from './http.js'
import { inside } from './private.js'

interface Parser {
  readonly incoming: unknown
}
interface HttpSocket {
  readonly parser?: Parser | null
  readonly server?: object
}
type Listener = (...words: unknown[]) => void

/** The server's own listener of 'data', through which its parser is fed (lib/_http_server.js). */
const FEED = 'bound socketOnData'

/** It has had bytes: it has had a request. */
const NOT_NEW = -1

/** How the end of a response that has sent its headers is told: by a last chunk, by the end of the connection, or both. */
export function framingOf(response: ServerResponse): { readonly chunked: boolean; readonly last: boolean } {
  const { chunkedEncoding: chunked } = response
  return { chunked, last: (response as unknown as { _last: boolean })._last || !chunked }
}

/** Why the connection's parser cannot be relieved of reading, or undefined: it must hold nothing of what comes after `request`. */
export function whyParserIsBusy(socket: net.Socket, request: IncomingMessage): string | undefined {
  const { parser, server } = socket as unknown as HttpSocket
  if (parser === undefined || parser === null || server === undefined || feedOf(socket) === undefined)
    return 'it is not read by an HTTP server this Node is known to have'
  if (!request.complete) return 'its request is still coming in'
  const isNext = parser.incoming !== null && parser.incoming !== request
  return isNext || isParsing(socket, NOT_NEW) ? 'the next request has come together with this one' : undefined
}

/** Whether the client's FIN has been read, though what came before it has not been taken. */
export const hasReadEnd = (socket: net.Socket): boolean => inside(socket)._readableState.ended

/**
 * Takes the reading of a connection from the HTTP server's parser. What comes from now on stays in the socket, unread, up to
 * its high-water mark; the server still hears 'end', 'close' and errors. Returns what gives the reading back, bytes included.
 */
export function relieveParser(socket: net.Socket, onReadable: () => void): () => void {
  const feed = feedOf(socket) as Listener
  // Makes Node's parser let go of the handle, which it has read past the socket.
  socket.on('readable', onReadable)
  socket.removeListener('data', feed)
  return () => {
    socket.removeListener('readable', onReadable)
    if (socket.destroyed) return
    socket.on('data', feed)
    socket.resume()
  }
}

function feedOf(socket: net.Socket): Listener | undefined {
  const listeners = socket.listeners('data') as Listener[]
  return listeners.length === 1 && listeners[0]?.name === FEED ? listeners[0] : undefined
}
