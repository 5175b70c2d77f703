/**
 * Clients that live through a reload as well as they can. Active ones ask at a steady rate; cut, they connect anew and ask the
 * same again, and the answer took as long as all of that. Idle ones have asked once, and only notice when they are cut.
 * Orders by stdin, each answered by a line `answer JSON`: `connect PROTOCOL PORT IDLE ACTIVE RATE`, `begin` (the counts start
 * here), `latency FROM TO`, `prove` (what is not cut answers), `counts`, `end`.
 */
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { askEach, Client, openSockets } from '../client.js'
import { raiseDescriptorLimit } from '../descriptors.js'
import type { ProtocolName } from '../protocols.js'
import { clockMs } from '../session.js'
import { Latencies } from '../talk.js'

const AGAIN_AFTER_MS = 10
const PROOF_WITHIN_MS = 10_000

export interface Counts {
  /** Connections that were closed, or would not answer any more. */
  dropped: number
  /** Questions that got an error before they got their answer. */
  failed: number
}

let counts: Counts = { dropped: 0, failed: 0 }
const latencies = new Latencies()
const idle = new Set<Client>()
const open = new Set<Socket>()
const active: { answers: number }[] = []
let isOver = false

function follow(socket: Socket, onClose: () => void): Socket {
  open.add(socket)
  socket.on('error', () => socket.destroy())
  socket.once('close', () => {
    open.delete(socket)
    if (!isOver) onClose()
  })
  return socket
}

class Active {
  answers = 0
  readonly #port: number
  readonly #protocol: ProtocolName
  readonly #everyMs: number
  #client: Client | undefined
  /** Of the question that waits for its answer. */
  #askedAt: number | undefined
  #hasFailed = false

  constructor(socket: Socket, port: number, protocol: ProtocolName, everyMs: number) {
    this.#port = port
    this.#protocol = protocol
    this.#everyMs = everyMs
    this.#use(socket)
    setTimeout(() => this.#say(), Math.random() * everyMs)
  }

  #use(socket: Socket): void {
    follow(socket, () => {
      counts.dropped++
      this.#client = undefined
      if (this.#askedAt !== undefined) this.#fail()
      this.#connect()
    })
    this.#client = new Client(socket, this.#protocol, () => socket.destroy())
  }

  #fail(): void {
    if (!this.#hasFailed) counts.failed++
    this.#hasFailed = true
  }

  #connect(): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    const again = (): void => {
      if (this.#askedAt !== undefined) this.#fail()
      if (!isOver) setTimeout(() => this.#connect(), AGAIN_AFTER_MS)
    }
    socket.once('error', again)
    socket.once('connect', () => {
      socket.off('error', again)
      this.#use(socket)
      if (this.#askedAt !== undefined) this.#ask()
    })
  }

  #say(): void {
    this.#askedAt = clockMs()
    this.#hasFailed = false
    this.#ask()
  }

  #ask(): void {
    this.#client?.ask(() => {
      const answeredAt = clockMs()
      latencies.add(this.#askedAt!, answeredAt)
      const nextIn = Math.max(0, this.#askedAt! + this.#everyMs - answeredAt)
      this.#askedAt = undefined
      this.answers++
      setTimeout(() => this.#say(), nextIn)
    })
  }
}

async function openAll(
  protocol: ProtocolName,
  port: number,
  idles: number,
  actives: number,
  rate: number,
): Promise<number> {
  raiseDescriptorLimit(idles + actives)
  const sockets = await openSockets(port, idles + actives)
  for (const socket of sockets.slice(actives)) {
    const client: Client = new Client(socket, protocol, () => socket.destroy())
    idle.add(client)
    follow(socket, () => {
      counts.dropped++
      idle.delete(client)
    })
  }
  await askEach([...idle])
  for (const socket of sockets.slice(0, actives)) active.push(new Active(socket, port, protocol, 1000 / rate))
  return idle.size + actives
}

/** Cut counts as an end too. Who does neither in time has been dropped without a word. */
async function prove(): Promise<number> {
  let answered = 0
  const silent = new Set(idle)
  for (const client of idle) {
    client.socket.once('close', () => silent.delete(client))
    client.ask(() => {
      answered++
      silent.delete(client)
    })
  }
  const before = active.map(({ answers }) => answers)
  const isProven = (): boolean => silent.size === 0 && active.every(({ answers }, index) => answers > before[index]!)
  const giveUpAt = clockMs() + PROOF_WITHIN_MS
  while (!isProven() && clockMs() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 10))
  counts.dropped += silent.size
  return answered + active.filter(({ answers }, index) => answers > before[index]!).length
}

const ORDERS: { [verb: string]: (...words: string[]) => unknown } = {
  connect: (protocol, ...numbers) => {
    const [port = 0, idles = 0, actives = 0, rate = 1] = numbers.map(Number)
    return openAll(protocol as ProtocolName, port, idles, actives, rate)
  },
  begin: () => (counts = { dropped: 0, failed: 0 }),
  latency: (from, to) => latencies.between(Number(from), Number(to)),
  prove,
  counts: () => counts,
}

for await (const line of createInterface(process.stdin)) {
  const [verb = '', ...words] = line.split(' ')
  const order = ORDERS[verb]
  if (order === undefined) break
  console.log(`answer ${JSON.stringify(await order(...words))}`)
}
isOver = true
for (const socket of open) socket.resetAndDestroy()
process.exit()
