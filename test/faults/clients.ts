/** The clients of a cell: twelve that talk, a slow reader with megabytes unsent, one in the middle of a line. */
import { Oracle } from '../harness/oracle.js'

const TALKING = 12
const MOST_AT_ONCE = 2_000
/** More than the kernel's buffers take: the rest waits in the server. */
const SLOW_BYTES = 6_000_000

const CLIENTS = TALKING + 2

export class Clients {
  readonly #talkers: readonly Oracle[]
  readonly #slow: Oracle
  readonly #midLine: Oracle
  #leaver: Oracle | undefined
  #talking = true
  readonly #talks: Promise<void>[]
  /** Say nothing, and are the first. */
  readonly #sample: readonly Oracle[]

  private constructor(
    sample: readonly Oracle[],
    talkers: readonly Oracle[],
    slow: Oracle,
    midLine: Oracle,
    leaver: Oracle | undefined,
  ) {
    this.#sample = sample
    this.#talkers = talkers
    this.#slow = slow
    this.#midLine = midLine
    this.#leaver = leaver
    // Half a connection is no service.
    for (const { socket } of [...sample, ...talkers, slow, midLine]) socket.on('end', () => socket.destroy())
    this.#talks = talkers.map((client) => this.#talk(client))
  }

  /**
   * @param hasLeaver one more, for `leave`.
   * @param sample so many more, which say nothing.
   */
  static async open(port: number, hasLeaver = false, sample = 0): Promise<Clients> {
    const first = await Promise.all(
      Array.from({ length: sample }, (_, index) => Oracle.open({ port, seed: 200 + index })),
    )
    // Accepted is not yet opened: each is to be a session before the next comes.
    for (const client of first) client.send(1)
    await Promise.all(first.map((client) => client.reach(1)))
    // The first: it is in the first batch, however few that holds.
    const leaver = hasLeaver ? await Oracle.open({ port, seed: 102 }) : undefined
    const talkers = await Promise.all(Array.from({ length: TALKING }, (_, index) => Oracle.open({ port, seed: index })))
    const slow = await Oracle.open({ port, seed: 100, push: SLOW_BYTES, flood: true, paused: true })
    const midLine = await Oracle.open({ port, seed: 101, push: 1_000, headerBytes: 9 })
    return new Clients(first, talkers, slow, midLine, leaver)
  }

  /** The one more goes of its own accord: reset, so that the server knows before it reads what comes after this. */
  leave(): void {
    this.#leaver?.socket.resetAndDestroy()
    this.#leaver = undefined
  }

  get count(): number {
    return this.#sample.length + CLIENTS
  }

  get closed(): number {
    return this.#all.filter(isClosed).length
  }

  /** What no ending allows: a byte that is not right. */
  get wrong(): string[] {
    return this.#all.flatMap(({ seed, fault }) => (isWrong(fault) ? [`client ${seed}: ${fault}`] : []))
  }

  /** Resolves when each client is served, or closed; names those that are neither. */
  async settle(): Promise<string[]> {
    const before = this.#talkers.map(({ received }) => received)
    await Promise.all(this.#talkers.map((client, index) => client.reach(before[index]! + 1).catch(() => undefined)))
    // Who does not read does not hear the end either.
    if (this.closed > 0) {
      this.#slow.resume()
      await this.#slow.reach(this.#slow.expected).catch(() => undefined)
    }
    return this.#talkers
      .filter((client, index) => !isClosed(client) && client.received === before[index])
      .map(({ seed }) => `client ${seed} is neither served nor closed`)
  }

  /** Each client that is not closed takes all it is owed; what was not as it must be. */
  async finish(): Promise<string[]> {
    this.#talking = false
    await Promise.all(this.#talks)
    const open = this.#all.filter((client) => !isClosed(client))
    if (open.includes(this.#midLine)) this.#midLine.completeHeader()
    const ends = await Promise.allSettled(open.map((client) => client.finish()))
    return ends.flatMap((end) => (end.status === 'rejected' ? [String((end.reason as Error).message)] : []))
  }

  /** Cuts all connections, whatever the clients are owed. */
  destroy(): void {
    this.#talking = false
    for (const client of [...this.#all, this.#leaver]) client?.socket.destroy()
  }

  get #all(): readonly Oracle[] {
    return [...this.#sample, ...this.#talkers, this.#slow, this.#midLine]
  }

  async #talk(client: Oracle): Promise<void> {
    while (this.#talking && !isClosed(client)) {
      client.send(1 + Math.floor(Math.random() * MOST_AT_ONCE))
      await client.reach(client.expected).catch(() => undefined)
    }
  }
}

const isWrong = (fault: string | undefined): boolean => fault !== undefined && !fault.startsWith('connection failed')
const isClosed = ({ socket, fault }: Oracle): boolean => socket.destroyed || socket.readableEnded || fault !== undefined
