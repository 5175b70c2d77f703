/** Opens new connections all the time, one after the other: each must be greeted by a release and sent off politely. */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const PAUSE_BETWEEN_MS = 5

export interface Connects {
  made: number
  refused: number
  /** How often each release answered. */
  releases: Record<string, number>
}

export class Prober {
  readonly connects: Connects = { made: 0, refused: 0, releases: {} }
  readonly #port: number
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(port: number) {
    this.#port = port
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const greeting = await probe(this.#port)
      const release = /^\* welcome to (\S+?):.*\n\* bye\n$/.exec(greeting)?.[1]
      if (release === undefined) this.connects.refused += 1
      else {
        this.connects.made += 1
        this.connects.releases[release] = (this.connects.releases[release] ?? 0) + 1
      }
      await delay(PAUSE_BETWEEN_MS)
    }
  }
}

/** Everything the server said to one connection; an error ends it early. */
function probe(port: number): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.setEncoding('latin1')
    socket.on('data', (chunk: unknown) => (received += chunk as string))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(received))
    socket.write('/quit\n')
  })
}
