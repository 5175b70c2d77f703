/** An Engine.IO client that polls, by the byte: requests are written here, one connection each. */
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { until, within } from './timeout.js'

const SEPARATOR = '\x1e'

export class RawPolling {
  readonly #port: number
  readonly sid: string
  /** The packets that have come, without those that say nothing. */
  readonly packets: string[] = []

  private constructor(port: number, sid: string) {
    this.#port = port
    this.sid = sid
  }

  /** Has said hello to the namespace '/'. */
  static async open(port: number): Promise<RawPolling> {
    const [open] = (await ask(port, 'GET', path())).split(SEPARATOR)
    const { sid } = JSON.parse((open as string).slice(1)) as { sid: string }
    const client = new RawPolling(port, sid)
    await client.post('40')
    await client.polls(1)
    return client
  }

  async post(...packets: string[]): Promise<void> {
    const answer = await ask(this.#port, 'POST', path(this.sid), packets.join(SEPARATOR))
    if (answer !== 'ok') throw new Error(`a POST was answered with ${answer}`)
  }

  /** Polls until so many packets have come. Pings are answered. */
  async polls(count: number): Promise<readonly string[]> {
    while (this.packets.length < count) await this.poll()
    return this.packets
  }

  /** One request, to its answer: packets, or nothing to say. */
  async poll(): Promise<void> {
    for (const packet of (await ask(this.#port, 'GET', path(this.sid))).split(SEPARATOR)) {
      if (packet === '2') await this.post('3')
      else if (packet !== '6') this.packets.push(packet)
    }
  }

  /** A whole request as bytes. */
  bytesOf(method: 'GET' | 'POST', body = ''): Buffer {
    const lines = [`${method} ${path(this.sid)} HTTP/1.1`, `Host: 127.0.0.1:${this.#port}`, 'X-Cut: here']
    if (method === 'POST') lines.push('Content-Type: text/plain;charset=UTF-8', `Content-Length: ${body.length}`)
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`)
  }

  connection(): CutRequest {
    return new CutRequest(connect({ port: this.#port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }))
  }
}

/** A request in pieces, on a connection of its own. */
export class CutRequest {
  readonly socket: Socket
  #said = ''
  #end = ''

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8').on('data', (text) => (this.#said += String(text)))
    socket.on('end', () => (this.#end = 'ended'))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.#end = String(error.code)))
  }

  send(bytes: Buffer): void {
    if (bytes.length > 0) this.socket.write(bytes)
  }

  /** The body of the answer. */
  async answer(): Promise<string> {
    const body = (): string | undefined => {
      const [head, ...rest] = this.#said.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head as string)?.[1] ?? Number.NaN)
      const text = rest.join('\r\n\r\n')
      return text.length >= length ? text : undefined
    }
    await until(
      () => body() !== undefined || this.#end !== '',
      () => `an answer; so far ${JSON.stringify(this.#said)}`,
    )
    this.socket.destroy()
    if (!/^HTTP\/1.1 200 /.test(this.#said)) throw new Error(`answered with ${JSON.stringify(this.#said)} ${this.#end}`)
    return body() as string
  }
}

function path(sid?: string): string {
  return `/socket.io/?EIO=4&transport=polling${sid === undefined ? '' : `&sid=${sid}`}`
}

function ask(port: number, method: string, path: string, body?: string): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'text/plain;charset=UTF-8' }
    const asked = request({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
      let said = ''
      response.setEncoding('utf8').on('data', (text) => (said += String(text)))
      response.on('end', () => {
        if (response.statusCode === 200) resolve(said)
        else reject(new Error(`${method} ${path} was answered with ${response.statusCode}: ${said}`))
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
  return within(answer, `an answer to ${method} ${path}`)
}
