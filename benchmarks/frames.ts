/** WebSocket frames (RFC 6455 5.2), as far as the clients of the benchmarks need them: short texts, whole. */

const FIN_TEXT = 0x81
const MASKED = 0x80
const LONG = 126
const MASK = Buffer.from('mask')

export const UPGRADE = (path: string): string =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${Buffer.from('handover handove').toString('base64')}`,
    '\r\n',
  ].join('\r\n')

/** @param isMasked as a client's must be. */
export function textFrame(text: string, isMasked = false): Buffer {
  const payload = Buffer.from(text)
  if (payload.length >= LONG) throw new Error(`a text of ${payload.length} bytes is too long for a benchmark`)
  if (!isMasked) return Buffer.concat([Buffer.from([FIN_TEXT, payload.length]), payload])
  const masked = payload.map((byte, index) => byte ^ (MASK[index % MASK.length] ?? 0))
  return Buffer.concat([Buffer.from([FIN_TEXT, MASKED | payload.length]), MASK, masked])
}

/** Where the server's frame that begins there ends; -1 while its length has not come. */
export function frameEnd(bytes: Buffer, at: number): number {
  if (bytes.length < at + 4) return -1
  const length = bytes[at + 1] ?? 0
  return length < LONG ? at + 2 + length : at + 4 + bytes.readUInt16BE(at + 2)
}
