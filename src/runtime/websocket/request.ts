/** The request a WebSocket began with: what of it travels, and what the successor's app is given instead. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { readRequest } from '../../sys/node-internals.js'

export interface RequestHead {
  readonly method: string
  /** As it came: routers write over `request.url`. */
  readonly url: string
  readonly httpVersion: string
  /** Names and values in turns, one a line: neither may have a line's end in it (RFC 9110, 5.5). One string is read in no time. */
  readonly headerLines: string
}

export function headOf({ method = 'GET', url = '/', httpVersion, rawHeaders }: IncomingMessage): RequestHead {
  return { method, url, httpVersion, headerLines: rawHeaders.join('\n') }
}

/** A request that has been read to its end. */
export function requestOf(socket: Socket, { method, url, httpVersion, headerLines }: RequestHead): IncomingMessage {
  const request = readRequest(socket, method, url, httpVersion, headerLines === '' ? [] : headerLines.split('\n'))
  // Set by the parser, not by the class.
  ;(request as { upgrade?: boolean }).upgrade = true
  return request
}
