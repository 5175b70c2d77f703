/**
 * Many oracle clients that talk all the time: each sends when it has got what it is owed, and takes breath. Flat out, the clients
 * would take the processors from the processes under test, and a transfer would be seen under no load but theirs.
 */
import { setTimeout } from 'node:timers/promises'
import { Oracle } from './oracle.js'

const OPENING_AT_ONCE = 100
const MOST_AT_ONCE = 2_000
/** Of all clients together; of very many each still says something. */
const TURNS_PER_SECOND = 1_000
const MOST_BREATH_MS = 250

export class Load {
  readonly clients: readonly Oracle[]
  #talking = false
  #talks: Promise<unknown> = Promise.resolve()

  private constructor(clients: readonly Oracle[]) {
    this.clients = clients
  }

  static async open(port: number, count: number, firstSeed = 1): Promise<Load> {
    const clients: Oracle[] = []
    while (clients.length < count) {
      const seeds = Array.from({ length: Math.min(OPENING_AT_ONCE, count - clients.length) }, (_, index) => index)
      clients.push(
        ...(await Promise.all(seeds.map((seed) => Oracle.open({ port, seed: firstSeed + clients.length + seed })))),
      )
    }
    return new Load(clients)
  }

  start(): this {
    this.#talking = true
    this.#talks = Promise.all(this.clients.map((client) => this.#talk(client)))
    // Whoever waits for progress or for the end hears of it.
    this.#talks.catch(() => undefined)
    return this
  }

  /** Resolves when every client has got some bytes more than now, and all of them right. */
  async progress(): Promise<void> {
    const before = this.clients.map((client) => client.received)
    await Promise.all(this.clients.map((client, index) => client.reach(before[index]! + 1)))
  }

  /** Ends the talk; resolves when every client has got all it was owed. */
  async quiet(): Promise<void> {
    this.#talking = false
    await this.#talks
  }

  /** Ends talk and connections; throws unless every byte of both directions was right and there. */
  async finish(): Promise<{ bytes: number }> {
    await this.quiet()
    await Promise.all(this.clients.map((client) => client.finish()))
    return { bytes: this.clients.reduce((sum, client) => sum + client.sent + client.received, 0) }
  }

  async #talk(client: Oracle): Promise<void> {
    while (this.#talking) {
      client.send(1 + Math.floor(Math.random() * MOST_AT_ONCE))
      await client.reach(client.expected)
      await setTimeout(Math.min(MOST_BREATH_MS, (1000 * this.clients.length) / TURNS_PER_SECOND))
    }
  }
}
