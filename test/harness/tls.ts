/** Clients of test/fixtures/tls-server.ts, and the server under a supervisor. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { cert } from '../fixtures/certificate.js'
import { compiled, type Teardown } from './child.js'
import { type CommandResult, READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { until, within } from './timeout.js'

const SERVER = compiled('test/fixtures/tls-server.js')

/** What every client of the fixture needs to trust it. */
export const TRUST = { ca: cert, servername: 'localhost', host: '127.0.0.1' } as const

export interface TlsStage {
  readonly supervisor: TestSupervisor
  readonly port: number
  /** To a release with these arguments of the fixture instead. */
  upgrade(args?: readonly string[], ...options: string[]): Promise<CommandResult<UpgradeResult>>
  /** Begins an upgrade, and returns once the predecessor has handed over. */
  begin(args?: readonly string[]): Promise<{ readonly result: Promise<CommandResult<UpgradeResult>> }>
}

/** @param args of the fixture; `options` of `handover run`. */
export async function serveTls(
  t: Teardown,
  args: readonly string[],
  { options = [], node }: { options?: readonly string[]; node?: string } = {},
): Promise<TlsStage> {
  const supervisor = startSupervisor(t, {
    command: ['node', SERVER, ...args],
    options: [...(node === undefined ? [] : ['--node', node]), ...options],
  })
  const port = Number((await supervisor.child.line(READY))[4])
  let generation = 1
  const upgrade: TlsStage['upgrade'] = async (next = args, ...more) => {
    const result = await supervisor.upgrade(...more, '--', 'node', SERVER, ...next)
    if (result.json?.outcome === 'committed') generation = result.json.to.generation ?? generation
    return result
  }
  return {
    supervisor,
    port,
    upgrade,
    async begin(next = args) {
      const retired = new RegExp(`^retired generation=${generation}$`)
      const result = upgrade(next)
      await Promise.race([supervisor.child.line(retired), result])
      return { result }
    },
  }
}

/** One TLS connection whose end is told precisely. */
export class TlsClient {
  readonly socket: TLSSocket
  received = ''
  /** close_notify or FIN has come. */
  ended = false
  error: string | undefined
  /** The newest session the server gave. */
  session: Buffer | undefined

  private constructor(socket: TLSSocket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => (this.received += text))
    socket.on('end', () => (this.ended = true))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message))
    socket.on('session', (session: Buffer) => (this.session = session))
  }

  static async open(port: number, options: ConnectionOptions & { allowHalfOpen?: boolean } = {}): Promise<TlsClient> {
    const client = new TlsClient(connect({ ...TRUST, port, ...options }))
    await within(once(client.socket, 'secureConnect'), `a TLS connection to port ${port}`)
    return client
  }

  /** Waits until the text has come; throws when the connection ends before. */
  async gets(text: string | RegExp): Promise<void> {
    const has = () => (typeof text === 'string' ? this.received.includes(text) : text.test(this.received))
    await until(
      () => has() || this.ended || this.error !== undefined,
      () => `${text}: ${this.received}`,
    )
    if (!has()) throw new Error(`the connection ended without ${text}: error ${this.error}, received ${this.received}`)
  }

  /** Sends a request, and returns the whole of its response's text. */
  async request(method: string, path: string, body = ''): Promise<string> {
    this.received = ''
    this.socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    return this.response()
  }

  /** The whole of a response: by its length, or by its last chunk. */
  async response(): Promise<string> {
    const isWhole = () => {
      const [head = '', ...rest] = this.received.split('\r\n\r\n')
      const length = /^content-length: (\d+)/im.exec(head)?.[1]
      if (length !== undefined) return rest.join('\r\n\r\n').length >= Number(length)
      return this.received.endsWith('0\r\n\r\n')
    }
    await until(
      () => isWhole() || this.ended || this.error !== undefined,
      () => `a response; so far ${JSON.stringify(this.received)}`,
    )
    if (!isWhole()) throw new Error(`no whole response: error ${this.error}, received ${JSON.stringify(this.received)}`)
    return this.received
  }

  /** Waits for the server's end. */
  async isEnded(): Promise<void> {
    await until(
      () => this.ended || this.error !== undefined,
      () => `the end of a connection; it received ${this.received}`,
    )
    if (this.error !== undefined) throw new Error(`the connection failed: ${this.error}`)
  }
}

/** Whether a program can be started. */
export function has(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
