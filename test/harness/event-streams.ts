/** A supervised server of event streams, test/fixtures/sse-server.ts, and clients that keep every byte. */
import { once } from 'node:events'
import { get } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { compiled, type Teardown } from './child.js'
import { type CommandResult, READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { FACT_WITHIN_MS, until, within } from './timeout.js'

export const SSE_SERVER = compiled('test/fixtures/sse-server.js')

export interface StreamsOptions {
  readonly node?: string
  readonly args?: readonly string[]
  readonly options?: readonly string[]
}

export class EventServer {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly #t: Teardown

  private constructor(t: Teardown, supervisor: TestSupervisor, port: number) {
    this.#t = t
    this.supervisor = supervisor
    this.port = port
  }

  static async start(t: Teardown, { node, args = [], options = [] }: StreamsOptions = {}): Promise<EventServer> {
    const own = node === undefined ? [] : ['--node', node]
    const supervisor = startSupervisor(t, { command: ['node', SSE_SERVER, ...args], options: [...own, ...options] })
    return new EventServer(t, supervisor, Number((await supervisor.child.line(READY))[4]))
  }

  /** One request on a connection of its own, to whoever serves; parsed. */
  async ask(path: string): Promise<unknown> {
    const request = get({ port: this.port, host: '127.0.0.1', path, agent: false })
    const [response] = (await within(once(request, 'response'), `an answer to ${path}`)) as [AsyncIterable<Buffer>]
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return JSON.parse(text)
  }

  client(): Client {
    const client = new Client(this.port)
    this.#t.teardown(() => client.socket.destroy())
    return client
  }

  /** A client whose stream is open. */
  async stream(name: string, query = '', version = '1.1'): Promise<Client> {
    const client = this.client()
    client.send(`GET /events?name=${name}${query} HTTP/${version}\r\nHost: x\r\n\r\n`)
    await client.gets('\r\n\r\n')
    return client
  }

  /** An upgrade in which everything is restored, and then the last stream refuses. */
  async abortedUpgrade(...args: string[]): Promise<CommandResult<UpgradeResult>> {
    const saboteur = await this.stream('saboteur', '&sabotage=1')
    const result = await this.supervisor.upgrade(...args)
    const before = this.supervisor.child.lines.length
    saboteur.socket.destroy()
    await this.supervisor.child.line(/^close generation=\d+ name=saboteur/, Math.max(0, before - 5))
    return result
  }

  /** Lines of one sort: 'close', 'drain', 'forget'. */
  said(what: string): string[] {
    return this.supervisor.child.lines.filter((line) => line.startsWith(`${what} `))
  }
}

/** A raw connection. */
export class Client {
  readonly socket: Socket
  ended = false
  #received: Buffer[] = []

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (bytes: Buffer) => this.#received.push(bytes))
    this.socket.on('end', () => (this.ended = true))
    this.socket.on('error', () => (this.ended = true))
  }

  get received(): string {
    const all = Buffer.concat(this.#received)
    this.#received = [all]
    return all.toString('latin1')
  }

  /** What came behind the head of the first response. */
  get body(): string {
    const { received } = this
    return received.slice(received.indexOf('\r\n\r\n') + 4)
  }

  send(text: string): void {
    this.socket.write(text)
  }

  async gets(text: string): Promise<void> {
    await until(
      () => this.received.includes(text),
      () => `${JSON.stringify(text)} at a client that has got ${JSON.stringify(this.received.slice(-2000))}`,
    )
  }

  async isEnded(): Promise<void> {
    await until(
      () => this.ended,
      () => `the end at a client that has got ${JSON.stringify(this.received.slice(-2000))}`,
    )
  }
}

/** One event as a chunk (RFC 9112, 7.1). */
export const chunkOf = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** The body of a chunked response that has not ended, without its framing. Throws where that is wrong. */
export function dechunk(body: string): string {
  let text = ''
  let at = 0
  while (at < body.length) {
    const head = /^([0-9a-f]+)\r\n/.exec(body.slice(at, at + 16))
    if (head === null) throw new Error(`no chunk begins at ${at}: ${JSON.stringify(body.slice(at, at + 40))}`)
    const length = Number.parseInt(head[1]!, 16)
    at += head[0].length + length + 2
    if (at > body.length) break
    if (body.slice(at - 2, at) !== '\r\n') throw new Error(`a chunk does not end at ${at}`)
    text += body.slice(at - 2 - length, at - 2)
  }
  return text
}

/** The ids of the events in a text. */
export const idsOf = (text: string): number[] => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))

/** Asks until it is so. */
export async function waitFor(fact: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = performance.now() + FACT_WITHIN_MS
  while (!(await fact())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${FACT_WITHIN_MS} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
