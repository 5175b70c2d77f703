/** One chat client: talks, and compares every byte it receives with the one it must be. */
import { connect, type Socket } from 'node:net'
import { broadcastOf, lineOf, nickOf } from './content.js'
import { type Latencies, record } from './latency.js'

/** What all clients of a process found. Bytes are of the direction server to client; what clients sent comes back to others. */
export interface Findings {
  checked: number
  lost: number
  doubled: number
  wrong: number
  /** Connections that ended although nobody wanted it. */
  dropped: number
  /** The first things that were not as they must be, for people. */
  examples: string[]
}

export const noFindings = (): Findings => ({ checked: 0, lost: 0, doubled: 0, wrong: 0, dropped: 0, examples: [] })

export class ChatClient {
  readonly #id: number
  readonly #findings: Findings
  readonly #latencies: () => Latencies
  readonly #socket: Socket
  /** The next sequence number of everybody else in the room. */
  readonly #next = new Map<string, { client: number; sequence: number }>()
  readonly #waiting: { sentAt: number; latencies: Latencies }[] = []
  #partial = ''
  #half = ''
  #greetings = 0
  #acknowledged = 0
  sent = 0

  /** @param latencies where the answer to a line said now is to be counted. */
  constructor(id: number, port: number, findings: Findings, latencies: () => Latencies) {
    this.#id = id
    this.#findings = findings
    this.#latencies = latencies
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('error', (error) => this.#note(error.message))
    this.#socket.on('close', this.#dropped)
  }

  readonly #dropped = (): void => {
    this.#findings.dropped += 1
    this.#note('connection ended')
  }

  /** Enters the room; resolves when the server has said so, which from then on sends nothing but talk. */
  async enter(room: string, others: readonly number[]): Promise<void> {
    for (const client of others) this.#next.set(nickOf(client), { client, sequence: 1 })
    await new Promise<void>((resolve) => {
      this.#socket.on('data', (chunk: unknown) => {
        const lines = (this.#partial + (chunk as string)).split('\n')
        this.#partial = lines.pop()!
        for (const line of lines) {
          if (this.#greetings === 3) this.#check(line)
          else if (++this.#greetings === 3) resolve()
        }
      })
      this.#socket.write(`/nick ${nickOf(this.#id)}\n/join ${room}\n`)
    })
  }

  /** Says the rest of the line begun last time and the first half of the next: the server always holds half a line. */
  talk(): void {
    const line = lineOf(this.#id, this.sent + 1)
    const rest = `${line.slice(this.#half.length)}\n`
    this.sent += 1
    this.#half = lineOf(this.#id, this.sent + 1).slice(0, 10)
    this.#waiting.push({ sentAt: performance.now(), latencies: this.#latencies() })
    this.#socket.write(rest + this.#half)
  }

  #check(line: string): void {
    if (line === `ok ${this.#acknowledged + 1}`) {
      this.#acknowledged += 1
      this.#findings.checked += line.length + 1
      const { sentAt, latencies } = this.#waiting.shift()!
      record(latencies, performance.now() - sentAt)
      return
    }
    const [, nick, digits] = /^<(\w+)> (\d+) /.exec(line) ?? []
    const from = nick === undefined ? undefined : this.#next.get(nick)
    const sequence = Number(digits)
    if (from === undefined || line !== broadcastOf(from.client, sequence)) {
      this.#wrong(line)
      return
    }
    this.#findings.checked += line.length + 1
    if (sequence < from.sequence) {
      this.#findings.doubled += line.length + 1
      this.#note(`${nick}'s line ${sequence} came twice or late`)
      return
    }
    for (; from.sequence < sequence; from.sequence += 1) this.#lose(from.client, from.sequence)
    from.sequence += 1
  }

  /** True when everything that must come has come. `sentBy` tells how many lines a client said. */
  isComplete(sentBy: (client: number) => number): boolean {
    if (this.#acknowledged < this.sent) return false
    for (const { client, sequence } of this.#next.values()) if (sequence <= sentBy(client)) return false
    return true
  }

  /** Ends the connection and counts what never came as lost. */
  finish(sentBy: (client: number) => number): void {
    this.#socket.off('close', this.#dropped)
    this.#socket.destroy()
    for (let ack = this.#acknowledged + 1; ack <= this.sent; ack += 1) this.#findings.lost += `ok ${ack}\n`.length
    for (const from of this.#next.values()) {
      for (; from.sequence <= sentBy(from.client); from.sequence += 1) this.#lose(from.client, from.sequence)
    }
    if (this.#partial !== '') this.#wrong(this.#partial)
  }

  #lose(client: number, sequence: number): void {
    this.#findings.lost += broadcastOf(client, sequence).length + 1
    this.#note(`${nickOf(client)}'s line ${sequence} never came`)
  }

  #wrong(line: string): void {
    this.#findings.wrong += line.length + 1
    this.#note(`unexpected: ${line.slice(0, 80)}`)
  }

  #note(text: string): void {
    if (this.#findings.examples.length < 10) this.#findings.examples.push(`${nickOf(this.#id)}: ${text}`)
  }
}
