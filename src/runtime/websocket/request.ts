/** The request a WebSocket began with: what of it travels, and what the successor's app is given instead. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { readRequest } from '../../sys/node-internals.js'

export interface RequestHead {
  readonly method: string
  /** As it came: routers write over `request.url`. */
  readonly url: string
  readonly httpVersion: string
  /** Names and values in turns. */
  readonly rawHeaders: readonly string[]
}

export function headOf(request: IncomingMessage): RequestHead {
  const { method = 'GET', url = '/', httpVersion, rawHeaders } = request
  return { method, url, httpVersion, rawHeaders }
}

/** A request that has been read to its end. */
export function requestOf(socket: Socket, { method, url, httpVersion, rawHeaders }: RequestHead): IncomingMessage {
  const request = readRequest(socket, method, url, httpVersion, rawHeaders)
  // Set by the parser, not by the class.
  ;(request as { upgrade?: boolean }).upgrade = true
  return request
}
