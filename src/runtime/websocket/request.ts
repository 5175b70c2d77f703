/** The request a WebSocket began with: what of it travels, and what the successor's app is given instead. */
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

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

/** A request that has been read to its end. `headers` follow from the raw ones. */
export function requestOf(socket: Socket, head: RequestHead): IncomingMessage {
  const request = new IncomingMessage(socket)
  request.method = head.method
  request.url = head.url
  request.httpVersion = head.httpVersion
  const [major = 1, minor = 1] = head.httpVersion.split('.').map(Number)
  request.httpVersionMajor = major
  request.httpVersionMinor = minor
  request.rawHeaders = [...head.rawHeaders]
  // Set by the parser, not by the class.
  ;(request as { upgrade?: boolean }).upgrade = true
  request.complete = true
  request.push(null)
  return request
}
