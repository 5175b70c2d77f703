/** Clients that POST all the time over connections they keep, and compare each answer. */
import { randomBytes } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { Pool } from 'undici'
import { until } from './timeout.js'

interface Answer {
  readonly status: number
  readonly generation: number
  readonly body: Buffer
}

/** Posts a body to /echo; rejects when the connection fails. */
type Post = (body: Buffer) => Promise<Answer>

export interface Poster {
  readonly post: Post
  /** Connections it has opened so far. */
  readonly opened: number
  close(): Promise<void>
}

/** undici, one request at a time on each connection. */
export function undiciPoster(port: number, connections: number): Poster {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1, keepAliveTimeout: 600_000 })
  let opened = 0
  pool.on('connect', () => opened++)
  return {
    post: async (body) => {
      const {
        statusCode,
        headers,
        body: answer,
      } = await pool.request({
        path: '/echo',
        method: 'POST',
        body,
        headers: { 'content-type': 'application/octet-stream' },
      })
      const bytes = Buffer.from(await answer.arrayBuffer())
      return { status: statusCode, generation: Number(headers['x-generation']), body: bytes }
    },
    get opened() {
      return opened
    },
    close: () => pool.close(),
  }
}

/** node:http with an Agent, which sends the body in chunks. */
export function agentPoster(port: number, connections: number): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections })
  const sockets = new Set<Socket>()
  return {
    post: async (body) => {
      const request = httpRequest({ port, host: '127.0.0.1', path: '/echo', method: 'POST', agent })
      request.setHeader('content-type', 'application/octet-stream')
      request.on('socket', (socket) => sockets.add(socket))
      const answered = new Promise<Answer>((resolve, reject) => {
        request.on('error', reject)
        request.on('response', (response) => {
          const { statusCode = 0, headers } = response
          buffer(response).then(
            (bytes) => resolve({ status: statusCode, generation: Number(headers['x-generation']), body: bytes }),
            reject,
          )
        })
      })
      request.write(body.subarray(0, body.length >> 1))
      request.end(body.subarray(body.length >> 1))
      return await answered
    },
    get opened() {
      return sockets.size
    },
    close: async () => agent.destroy(),
  }
}

export class HttpLoad {
  requests = 0
  /** What went wrong, in words; there is to be nothing. */
  readonly wrong: string[] = []
  readonly generations = new Set<number>()
  readonly #poster: Poster
  #isTalking = true
  readonly #talks: Promise<unknown>

  /** @param atOnce requests under way at any time. */
  constructor(poster: Poster, atOnce: number) {
    this.#poster = poster
    this.#talks = Promise.all(Array.from({ length: atOnce }, () => this.#talk()))
  }

  /** Waits until so many more requests have been answered. */
  async progress(count = 50): Promise<void> {
    const from = this.requests
    await until(
      () => this.requests >= from + count || this.wrong.length > 0,
      () => `${count} more requests: ${this.requests - from} came`,
    )
  }

  async stop(): Promise<void> {
    this.#isTalking = false
    await this.#talks
    await this.#poster.close()
  }

  async #talk(): Promise<void> {
    while (this.#isTalking && this.wrong.length < 5) {
      const body = randomBytes(1 + Math.floor(Math.random() * 2_000))
      try {
        const { status, generation, body: answer } = await this.#poster.post(body)
        this.generations.add(generation)
        if (status !== 200 || !answer.equals(body))
          this.wrong.push(`${status}: ${answer.length} of ${body.length} bytes`)
        this.requests++
      } catch (error) {
        this.wrong.push(String(error))
      }
    }
  }
}
