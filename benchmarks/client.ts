/** One connection that asks, one question at a time, and checks every byte of the answer. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Exchange, PROTOCOLS, type Protocol, type WireName } from './protocols.js'

const CONNECTING_AT_ONCE = 100

export class Client {
  readonly socket: Socket
  answers = 0
  readonly #protocol: Protocol
  #reply: Buffer | undefined
  #exchange: Exchange
  #onReply: (() => void) | undefined

  constructor(socket: Socket, protocol: WireName, onWrong: (reason: string) => void) {
    this.socket = socket
    this.#protocol = PROTOCOLS[protocol]
    this.#exchange = this.#protocol
    socket.on('data', (bytes: Buffer) => {
      try {
        this.#take(bytes)
      } catch (error) {
        onWrong((error as Error).message)
      }
    })
  }

  get isWaiting(): boolean {
    return this.#onReply !== undefined
  }

  ask(onReply: () => void): void {
    this.#onReply = onReply
    this.socket.write(this.#exchange.request)
  }

  /** What the protocol wants before the first question. */
  async greet(): Promise<void> {
    for (const greeting of this.#protocol.greetings ?? []) {
      this.#exchange = greeting
      await new Promise<void>((resolve) => this.ask(resolve))
    }
    this.#exchange = this.#protocol
  }

  #take(bytes: Buffer): void {
    const onReply = this.#onReply
    if (onReply === undefined) throw new Error(`${bytes.length} bytes that nobody asked for`)
    const reply = this.#reply === undefined ? bytes : Buffer.concat([this.#reply, bytes])
    this.#reply = reply
    if (!this.#exchange.isWhole(reply)) return
    this.#reply = undefined
    this.#onReply = undefined
    this.answers++
    onReply()
  }
}

/** Connections to a loopback port, some at a time: a backlog that overflows would make the kernel wait a second. */
export async function openSockets(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(CONNECTING_AT_ONCE, count - sockets.length) }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    )
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    sockets.push(...some)
  }
  return sockets
}

/** One question for each client, some at a time; resolves with the last answer. */
export async function askEach(clients: readonly Client[]): Promise<void> {
  for (let start = 0; start < clients.length; start += CONNECTING_AT_ONCE) {
    const some = clients.slice(start, start + CONNECTING_AT_ONCE)
    await Promise.all(some.map((client) => new Promise<void>((resolve) => client.ask(resolve))))
  }
}
