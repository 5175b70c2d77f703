/** A WebSocket client that speaks RFC 6455 by the byte: frames are made here, and taken apart here. */
import { connect, type Socket } from 'node:net'
import { until } from './timeout.js'

export interface Frame {
  readonly fin: boolean
  readonly rsv1: boolean
  readonly opcode: number
  readonly payload: Buffer
}

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

const END_OF_HEAD = '\r\n\r\n'
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d])

/** RFC 6455, 5.2: as a client sends it, masked. */
export function frame(
  opcode: number,
  data: Buffer | string,
  { fin = true, rsv1 = false }: { fin?: boolean; rsv1?: boolean } = {},
): Buffer {
  const payload = Buffer.from(data)
  const first = (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode
  let header: Buffer
  if (payload.length < 126) header = Buffer.from([first, 0x80 | payload.length])
  else if (payload.length < 65_536) {
    header = Buffer.from([first, 0x80 | 126, 0, 0])
    header.writeUInt16BE(payload.length, 2)
  } else {
    header = Buffer.from([first, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0])
    header.writeUIntBE(payload.length, 4, 6)
  }
  for (let index = 0; index < payload.length; index++) payload[index]! ^= MASK[index & 3]!
  return Buffer.concat([header, MASK, payload])
}

/** The frames a server has sent, and what is left of the last. */
export function framesOf(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = []
  let rest = bytes
  for (;;) {
    if (rest.length < 2) return { frames, rest }
    const short = rest[1]! & 0x7f
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0
    if (rest.length < 2 + extra) return { frames, rest }
    const length = extra === 0 ? short : extra === 2 ? rest.readUInt16BE(2) : rest.readUIntBE(4, 6)
    const end = 2 + extra + length
    if (rest.length < end) return { frames, rest }
    if ((rest[1]! & 0x80) !== 0) throw new Error('a server does not mask')
    const first = rest[0]!
    const payload = rest.subarray(2 + extra, end)
    frames.push({ fin: (first & 0x80) !== 0, rsv1: (first & 0x40) !== 0, opcode: first & 0x0f, payload })
    rest = rest.subarray(end)
  }
}

export interface RawOptions {
  readonly port: number
  readonly path?: string
  /** Further lines of the request. */
  readonly headers?: readonly string[]
  /** The request is sent in two parts; what is between them. */
  readonly cut?: { readonly at: number; until(): Promise<unknown> }
}

export class RawWebSocket {
  readonly socket: Socket
  /** What has come since the answer to the handshake. */
  received: Buffer = Buffer.alloc(0)
  ended = false
  error: string | undefined
  /** To the handshake. */
  #answer = Buffer.alloc(0)
  #frames: Frame[] = []
  #rest = Buffer.alloc(0)

  /** A socket that nobody listens to keeps what comes, chunk by chunk; to one who listens once it gives them all, and only the first is heard. */
  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => this.#take(bytes))
    socket.on('end', () => {
      this.ended = true
      socket.end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code))
  }

  static async open({ port, path = '/room/kitchen', headers = [], cut }: RawOptions): Promise<RawWebSocket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const client = new RawWebSocket(socket)
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
      'X-Test: raw',
      ...headers,
    ]
    const request = `${lines.join('\r\n')}\r\n\r\n`
    if (cut !== undefined && cut.at > 0) socket.write(request.slice(0, cut.at))
    await cut?.until()
    socket.write(request.slice(cut?.at))
    await client.#hasAnswer(port)
    return client
  }

  async #hasAnswer(port: number): Promise<void> {
    await until(
      () => this.#answer.includes(END_OF_HEAD) || this.ended || this.error !== undefined,
      `an answer to the handshake at ${port}`,
    )
    const answer = this.#answer.toString('latin1')
    if (!/^HTTP\/1\.1 101 /.test(answer) || !answer.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='))
      throw new Error(`the handshake was answered with ${answer}, ended ${this.ended}, error ${this.error}`)
  }

  /** All frames so far. */
  get frames(): readonly Frame[] {
    const { frames, rest } = framesOf(this.#rest)
    this.#rest = Buffer.from(rest)
    this.#frames.push(...frames)
    return this.#frames
  }

  get texts(): string[] {
    return this.frames.map(({ payload }) => payload.toString())
  }

  send(...bytes: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(bytes))
  }

  say(text: string): void {
    this.send(frame(TEXT, text))
  }

  async gets(count: number): Promise<readonly Frame[]> {
    await until(
      () => this.frames.length >= count,
      () =>
        `${count} frames; ${this.frames.length} came, ended ${this.ended}, error ${this.error}: ${this.texts.slice(-3)}`,
    )
    return this.frames
  }

  async isEnded(): Promise<void> {
    await until(
      () => this.ended,
      () => `the end; ${this.frames.length} frames came, error ${this.error}`,
    )
  }

  #take(bytes: Buffer): void {
    if (this.#answer.includes(END_OF_HEAD)) {
      this.#takeFrames(bytes)
      return
    }
    const said = Buffer.concat([this.#answer, bytes])
    const at = said.indexOf(END_OF_HEAD)
    const end = at === -1 ? said.length : at + END_OF_HEAD.length
    this.#answer = said.subarray(0, end)
    this.#takeFrames(said.subarray(end))
  }

  #takeFrames(bytes: Buffer): void {
    this.received = Buffer.concat([this.received, bytes])
    this.#rest = Buffer.concat([this.#rest, bytes])
  }
}
