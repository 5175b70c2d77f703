/** Opens new connections one after the other, all the time, and asks each who serves it. */
import { connect } from 'node:net'

export interface Answer {
  readonly release: string
  readonly generation: number
  readonly pid: number
  /** Connections accepted so far by all generations together. */
  readonly connections: number
}

const ANSWER = /^release=(\S+) generation=(\d+) pid=(\d+) connections=(\d+)\n$/

/** Who serves a new connection now. Throws when it is refused, reset or answered with anything else. */
export function ask(port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.setEncoding('latin1')
    socket.on('data', (text: unknown) => (received += text as string))
    socket.on('error', reject)
    socket.on('close', () => {
      const [, release, generation, pid, connections] = ANSWER.exec(received) ?? []
      if (release === undefined)
        return reject(new Error(`a new connection was answered with ${JSON.stringify(received)}`))
      resolve({ release, generation: Number(generation), pid: Number(pid), connections: Number(connections) })
    })
    socket.write('who\n')
  })
}

export class Prober {
  made = 0
  readonly refused: Error[] = []
  /** The generations that answered, in the order they did so first. */
  readonly generations: number[] = []
  readonly #port: number
  #running: Promise<void> | undefined
  #stopped = false

  constructor(port: number) {
    this.#port = port
  }

  start(): this {
    this.#running ??= this.#run()
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const { generation } = await ask(this.#port)
        this.made += 1
        if (!this.generations.includes(generation)) this.generations.push(generation)
      } catch (error) {
        this.refused.push(error as Error)
      }
      await new Promise(setImmediate)
    }
  }
}
