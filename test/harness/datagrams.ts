/** A client of a puppet server's UDP socket that knows what must come of each datagram. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Teardown } from './child.js'
import { within } from './timeout.js'

/**
 * Datagrams that are on their way at once. The kernel keeps them while nobody reads: 256 of these in a buffer of 208 KiB
 * (net.core.rmem_default). But as long as some are left it gives back what was read only by quarters of the buffer
 * (udp_rmem_release() of net/ipv4/udp.c): only on 192 can one count.
 */
const WINDOW = 128

/**
 * Sends numbered datagrams as fast as they are acknowledged, and throws when one is doubled, or lost. Their order is not looked at: on
 * a busy machine the kernel turns datagrams round, also on loopback, when the sender's thread changes its processor.
 */
export class Numbered {
  readonly socket: Socket
  /** The generations that acknowledged, in the order they did so first. */
  readonly generations: number[] = []
  /** How many each has acknowledged. */
  readonly counts = new Map<number, number>()
  readonly #open = new Set<number>()
  readonly #port: number
  readonly #host: string
  #sent = 0
  #isSending = false
  #fault: string | undefined
  #wanted: (() => void)[] = []

  private constructor(socket: Socket, port: number, host: string) {
    this.socket = socket
    this.#port = port
    this.#host = host
    socket.on('message', (bytes) => this.#check(bytes.toString('latin1')))
    socket.on('error', (error) => this.#fail(error.message))
  }

  static async open(t: Teardown, port: number, host = '127.0.0.1'): Promise<Numbered> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    socket.bind(0, host)
    await once(socket, 'listening')
    t.teardown(() => socket.close())
    return new Numbered(socket, port, host)
  }

  get address(): string {
    const { address, port } = this.socket.address()
    return `${address}:${port}`
  }

  get acknowledged(): number {
    return this.#sent - this.#open.size
  }

  get sent(): number {
    return this.#sent
  }

  start(): this {
    this.#isSending = true
    this.#send()
    return this
  }

  /** Sends no more; resolves when all that was sent has been acknowledged, once. */
  async stop(): Promise<number> {
    this.#isSending = false
    await this.until(this.#sent)
    return this.#sent
  }

  /** Resolves when so many have been acknowledged; `more` than now without a number. */
  async until(count: number): Promise<void> {
    const reached = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (this.#fault !== undefined) reject(new Error(this.#fault))
        else if (this.acknowledged >= count) resolve()
        else this.#wanted.push(look)
      }
      look()
    })
    const missing = () => [...this.#open].slice(0, 10)
    await within(
      reached,
      () => `${count} acknowledgements: ${this.acknowledged} of ${this.#sent} came, not ${missing()}`,
    )
  }

  progress(): Promise<void> {
    return this.until(this.#sent + WINDOW)
  }

  #send(): void {
    while (this.#isSending && this.#open.size < WINDOW) {
      const number = this.#sent++
      this.#open.add(number)
      this.socket.send(`seq ${number}`, this.#port, this.#host)
    }
  }

  #check(text: string): void {
    const [, number, generation] = /^ack (\d+) (\d+) /.exec(text) ?? []
    if (!this.#open.delete(Number(number))) {
      this.#fail(`"${text}" came twice, or for nothing`)
      return
    }
    const by = Number(generation)
    if (!this.generations.includes(by)) this.generations.push(by)
    this.counts.set(by, (this.counts.get(by) ?? 0) + 1)
    this.#send()
    this.#wake()
  }

  #fail(why: string): void {
    this.#fault ??= why
    this.#isSending = false
    this.#wake()
  }

  #wake(): void {
    for (const look of this.#wanted.splice(0)) look()
  }
}
