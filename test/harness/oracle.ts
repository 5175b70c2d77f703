/**
 * A client that knows every byte of both directions of its connection to test/fixtures/stream-server.ts: it counts what is
 * lost, doubled or wrong instead of believing it is not. See there for the protocol.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { explain, firstWrong, keyOf, keystream } from './keystream.js'
import { within } from './timeout.js'

export interface OracleOptions {
  readonly port: number
  /** Names the streams; each connection has its own. */
  readonly seed: number
  /** Bytes the server sends by itself, beside one for each it receives. */
  readonly push?: number
  /** The server writes all it owes at once, whether or not this side reads; otherwise it waits for 'drain'. */
  readonly flood?: boolean
  /** The word for how the server writes, in place of flow or flood, where it knows others: see test/fixtures/mode-server.ts. */
  readonly mode?: string
  /** Writes only that much of the header at first: the server then holds half a line. Ended by `completeHeader`. */
  readonly headerBytes?: number
  /** Does not read until `resume`. */
  readonly paused?: boolean
}

export class Oracle {
  readonly seed: number
  readonly socket: Socket
  readonly #push: number
  readonly #header: string
  #headerSent: number
  #sent = 0
  #received = 0
  #ended = false
  #fault: string | undefined
  #wanted: (() => void)[] = []

  private constructor(options: OracleOptions) {
    this.seed = options.seed
    this.#push = options.push ?? 0
    this.#header = `stream ${this.seed} ${this.#push} ${options.mode ?? (options.flood ? 'flood' : 'flow')}\n`
    this.#headerSent = options.headerBytes ?? this.#header.length
    this.socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    if (options.paused) this.socket.pause()
    this.socket.on('data', (bytes: Buffer) => this.#check(bytes))
    this.socket.on('end', () => {
      this.#ended = true
      this.#wake()
    })
    this.socket.on('error', (error) => this.#fail(`connection failed: ${error.message}`))
    this.socket.on('close', () => this.#wake())
    this.socket.write(this.#header.slice(0, this.#headerSent))
  }

  static async open(options: OracleOptions): Promise<Oracle> {
    const oracle = new Oracle(options)
    await within(once(oracle.socket, 'connect'), `connection ${options.seed} to port ${options.port}`)
    return oracle
  }

  get sent(): number {
    return this.#sent
  }
  get received(): number {
    return this.#received
  }
  /** What the server owes in the end: a byte for each it got, and what it was asked to push. */
  get expected(): number {
    return this.#sent + (this.#headerSent === this.#header.length ? this.#push : 0)
  }
  /** The first thing that was not as it must be. */
  get fault(): string | undefined {
    return this.#fault
  }

  completeHeader(): void {
    this.socket.write(this.#header.slice(this.#headerSent))
    this.#headerSent = this.#header.length
  }

  /** Sends the next bytes of the stream up. */
  send(length: number): void {
    this.socket.write(keystream(keyOf(this.seed, 'up'), this.#sent, length))
    this.#sent += length
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Closes this side; the server goes on sending what it owes, and then closes its own. */
  halfClose(): void {
    this.socket.end()
  }

  /** Resolves when that many bytes have come, all of them right. */
  async reach(received: number): Promise<void> {
    await within(
      this.#until(() => this.#received >= received),
      () => `${received} bytes on connection ${this.seed}: ${this.#received} came of ${this.expected}`,
    )
  }

  /** Takes all the server owes, closes in order, and throws unless every byte of both directions was right and there. */
  async finish(): Promise<void> {
    this.resume()
    if (!this.socket.writableEnded) this.halfClose()
    await within(
      this.#until(() => this.#ended),
      () => `the end of connection ${this.seed}: ${this.#received} bytes came of ${this.expected}`,
    )
    if (this.#received !== this.expected) {
      throw new Error(
        `connection ${this.seed}: ${this.expected - this.#received} of ${this.expected} bytes lost at the end`,
      )
    }
    this.socket.destroy()
  }

  #check(bytes: Buffer): void {
    const key = keyOf(this.seed, 'down')
    if (this.#fault === undefined && firstWrong(key, this.#received, bytes) !== -1) {
      this.#fail(explain(key, this.#received, bytes))
    }
    this.#received += bytes.length
    this.#wake()
  }

  #until(fact: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#fault !== undefined) reject(new Error(`connection ${this.seed}: ${this.#fault}`))
        else if (fact()) resolve()
        else if (this.socket.destroyed) reject(new Error(`connection ${this.seed}: cut after ${this.#received} bytes`))
        else this.#wanted.push(look)
      }
      look()
    })
  }

  #fail(fault: string): void {
    this.#fault ??= fault
    this.#wake()
  }

  #wake(): void {
    if (this.#wanted.length === 0) return
    const wanted = this.#wanted
    this.#wanted = []
    for (const look of wanted) look()
  }
}
