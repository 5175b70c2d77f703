/** The HTTP server of test/fixtures under a supervisor, and clients that know every byte. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { compiled, type Teardown } from './child.js'
import { censusOf, type Fixpoint, settled } from './fixpoint.js'
import {
  type CommandResult,
  READY,
  type SupervisorOptions,
  startSupervisor,
  type TestSupervisor,
} from './supervisor.js'
import { until, within } from './timeout.js'

export const webServer = (...args: string[]): string[] => ['node', compiled('test/fixtures/http-server.js'), ...args]

export interface Who {
  readonly pid: number
  readonly generation: number
  readonly connections: number
  readonly errors: readonly string[]
  readonly node: string
  /** Of each connection this process has accepted or heard of since, by its client's port. */
  readonly bytesRead: Readonly<Record<string, number>>
}

export class Web {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly #args: readonly string[]
  /** Ports of own clients whose end the server may not have seen. */
  readonly #closed = new Set<number>()

  private constructor(supervisor: TestSupervisor, port: number, args: readonly string[]) {
    this.supervisor = supervisor
    this.port = port
    this.#args = args
  }

  static async start(
    t: Teardown,
    args: readonly string[] = [],
    options: Omit<SupervisorOptions, 'command'> = {},
  ): Promise<Web> {
    const supervisor = startSupervisor(t, { ...options, command: webServer(...args) })
    const [, , , , port] = await supervisor.child.line(READY)
    return new Web(supervisor, Number(port), args)
  }

  /** An upgrade to the same, waited for to the end of the drain. */
  async upgrade(args: readonly string[] = this.#args, ...options: string[]): Promise<UpgradeResult> {
    const { json } = await this.#upgrade(args, options)
    if (json === undefined) throw new Error('the upgrade said nothing')
    return json
  }

  /** One that is refused in the freeze, when all connections have been built. */
  async abortedUpgrade(): Promise<UpgradeResult> {
    return await this.upgrade([...this.#args, '--refuse'])
  }

  async #upgrade(args: readonly string[], options: readonly string[]): Promise<CommandResult<UpgradeResult>> {
    return await this.supervisor.upgrade(...options, '--', ...webServer(...args))
  }

  /** Waits until the server has read so many bytes of each connection. */
  async hasRead(...sent: readonly (readonly [RawClient, number])[]): Promise<void> {
    let missing = sent
    const reading = async (): Promise<void> => {
      while (missing.length > 0) {
        const { bytesRead } = await this.who()
        missing = sent.filter(([{ socket }, bytes]) => bytesRead[socket.localPort as number] !== bytes)
      }
    }
    await within(reading(), () => `the server to have read what ${missing.length} clients have sent`)
  }

  async census(): Promise<Fixpoint> {
    return await this.#asked(({ pid }) => censusOf(this.supervisor, pid))
  }

  /** The census once it is as it was. */
  async censusLike(before: Fixpoint): Promise<Fixpoint> {
    return await settled(before, () => this.census())
  }

  /** Asked by a connection of its own, which is the only one of this kind that is open. */
  async who(): Promise<Who> {
    return await this.#asked((who) => who)
  }

  async #asked<R>(take: (who: Who) => R): Promise<R> {
    const client = await RawClient.open(this)
    for (;;) {
      const { body } = await client.request('GET /who HTTP/1.1\r\nHost: a\r\n\r\n')
      const who = JSON.parse(body) as Who
      for (const port of this.#closed) if (who.bytesRead[port] === undefined) this.#closed.delete(port)
      if (this.#closed.size > 0) continue
      const taken = take(who)
      this.#closed.add(client.socket.localPort as number)
      client.socket.end()
      return taken
    }
  }
}

/** A client that sends the bytes it is told. */
export class RawClient {
  readonly socket: Socket
  received = ''
  error: string | undefined
  isEnded = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text) => (this.received += String(text)))
    socket.on('end', () => (this.isEnded = true))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code))
  }

  static async open({ port }: { readonly port: number }, { paused = false } = {}): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    if (paused) socket.pause()
    const client = new RawClient(socket)
    if (paused) socket.pause()
    await within(once(socket, 'connect'), `a connection to port ${port}`)
    return client
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Waits for so many whole responses, and nothing behind them; takes them away. */
  async responses(count: number): Promise<Response[]> {
    let parsed: Response[] | undefined
    await until(
      () => {
        parsed = responsesIn(this.received)
        return parsed !== undefined && parsed.length >= count
      },
      () =>
        `${count} responses, error ${this.error}, ended ${this.isEnded}, after ${JSON.stringify(this.received.slice(-500))}`,
    )
    this.received = ''
    return parsed as Response[]
  }

  async request(text: string): Promise<Response> {
    this.send(text)
    return (await this.responses(1))[0] as Response
  }

  async ended(): Promise<void> {
    await until(
      () => this.isEnded,
      () => `the end, error ${this.error}, after ${JSON.stringify(this.received.slice(-500))}`,
    )
  }
}

export interface Response {
  /** All of it, but for the generation in its header. */
  readonly text: string
  readonly status: number
  readonly generation: number
  readonly body: string
}

/** All of the text as responses; undefined while the last one is not whole. Those of 1xx belong to what follows. */
export function responsesIn(text: string): Response[] | undefined {
  const responses: Response[] = []
  let rest = text
  let interim = ''
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = rest.slice(0, end + 4)
    const status = Number(/^HTTP\/1\.1 (\d+) /.exec(head)?.[1])
    if (Number.isNaN(status)) throw new Error(`no response: ${JSON.stringify(rest)}`)
    if (status < 200) {
      interim += head
      rest = rest.slice(head.length)
      continue
    }
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
    if (rest.length < head.length + length) return undefined
    const body = rest.slice(head.length, head.length + length)
    const generation = Number(/^x-generation: (\d+)/im.exec(head)?.[1])
    const whole = `${interim}${head}${body}`.replace(/^(x-generation): \d+/im, '$1: N')
    responses.push({ text: whole, status, generation, body })
    rest = rest.slice(head.length + length)
    interim = ''
  }
  return interim === '' ? responses : undefined
}
