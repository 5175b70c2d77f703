/** Clients that ask at a steady rate, and what each answer took, with its instants: an upgrade is a stretch of time. */
import type { Client } from './client.js'
import { clockMs } from './session.js'
import { percentile } from './statistics.js'

export interface Latency {
  count: number
  p50: number
  p99: number
  max: number
}

/** Asked and answered, in milliseconds of CLOCK_MONOTONIC. */
export class Latencies {
  #asked: number[] = []
  #answered: number[] = []

  add(askedAt: number, answeredAt: number): void {
    this.#asked.push(askedAt)
    this.#answered.push(answeredAt)
  }

  /** Of the questions that were open at some instant between the two. */
  between(from: number, to: number): Latency {
    const latencies: number[] = []
    for (const [index, askedAt] of this.#asked.entries()) {
      const answeredAt = this.#answered[index]!
      if (answeredAt >= from && askedAt <= to) latencies.push(answeredAt - askedAt)
    }
    latencies.sort((a, b) => a - b)
    const of = (share: number): number => (latencies.length === 0 ? 0 : percentile(latencies, share))
    return { count: latencies.length, p50: of(0.5), p99: of(0.99), max: of(1) }
  }
}

/** One question at a time, RATE times a second; a late answer makes the next question late. */
export function talk(client: Client, everyMs: number, latencies: Latencies): void {
  const say = (): void => {
    const askedAt = clockMs()
    client.ask(() => {
      const answeredAt = clockMs()
      latencies.add(askedAt, answeredAt)
      setTimeout(say, Math.max(0, askedAt + everyMs - answeredAt))
    })
  }
  setTimeout(say, Math.random() * everyMs)
}
