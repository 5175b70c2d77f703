/** A client of the library `ws`: what it is sent is taken in order. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import WebSocket from 'ws'
import { until, within } from './timeout.js'

export interface WsClientOptions {
  readonly path?: string
  readonly protocols?: readonly string[]
  readonly headers?: Record<string, string>
}

export class WsClient {
  readonly socket: WebSocket
  /** Messages so far. */
  readonly got: { readonly data: Buffer; readonly isBinary: boolean }[] = []
  code: number | undefined
  error: string | undefined
  #taken = 0

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer, isBinary) => this.got.push({ data, isBinary }))
    socket.on('close', (code) => (this.code = code))
    socket.on('error', (error) => (this.error = error.message))
  }

  static async open(port: number, options: WsClientOptions = {}): Promise<WsClient> {
    const { path = '/room/kitchen', protocols = [], headers = {} } = options
    const url = `ws://127.0.0.1:${port}${path}`
    const socket = new WebSocket(url, [...protocols], { headers, perMessageDeflate: { threshold: 0 } })
    const client = new WsClient(socket)
    await within(once(socket, 'open'), `a WebSocket at ${url}`)
    return client
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten
  }

  get closed(): Promise<void> {
    return until(
      () => this.code !== undefined,
      () => `the end of a client that got ${this.got.length} messages`,
    )
  }

  say(text: string): void {
    this.socket.send(text)
  }

  async ask(text: string): Promise<string> {
    this.#taken = this.got.length
    this.say(text)
    return this.next()
  }

  async next(): Promise<string> {
    return String(await this.nextData())
  }

  async nextData(): Promise<Buffer> {
    await until(
      () => this.got.length > this.#taken,
      () => `message ${this.#taken + 1} at a client that is closed by ${this.code}, with error ${this.error}`,
    )
    return this.got[this.#taken++]!.data
  }

  /** Reads nothing from the kernel. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  get #socket(): Socket {
    return (this.socket as unknown as { _socket: Socket })._socket
  }
}
