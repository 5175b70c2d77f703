/** A request that no parser has read in this process. */
import { IncomingMessage } from 'node:http'
import type net from 'node:net'

interface PrivateMessage {
  /** What the parser calls (lib/_http_common.js): `headers` and `headersDistinct` are made of these lines when they are asked for. */
  _addHeaderLines(lines: string[], length: number): void
}

/** @param rawHeaders names and values in turns. */
export function readRequest(
  socket: net.Socket,
  method: string,
  url: string,
  httpVersion: string,
  rawHeaders: readonly string[],
): IncomingMessage {
  const request = new IncomingMessage(socket)
  const [major = 1, minor = 1] = httpVersion.split('.').map(Number)
  Object.assign(request, { method, url, httpVersion, httpVersionMajor: major, httpVersionMinor: minor })
  ;(request as unknown as PrivateMessage)._addHeaderLines([...rawHeaders], rawHeaders.length)
  // Lines that come later are trailers.
  request.complete = true
  request.push(null)
  return request
}
