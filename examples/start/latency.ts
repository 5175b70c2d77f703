/** A histogram of latencies in buckets that double: 1 ms and less, 2, 4 … and one for all above. */

export const BUCKETS_MS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] as const

export interface Latencies {
  count: number
  maxMs: number
  /** One more than BUCKETS_MS: the last is everything slower. */
  buckets: number[]
}

export const noLatencies = (): Latencies => ({ count: 0, maxMs: 0, buckets: BUCKETS_MS.map(() => 0).concat(0) })

export function record(latencies: Latencies, ms: number): void {
  let bucket = 0
  while (bucket < BUCKETS_MS.length && ms > BUCKETS_MS[bucket]!) bucket += 1
  latencies.buckets[bucket]! += 1
  latencies.count += 1
  latencies.maxMs = Math.max(latencies.maxMs, ms)
}

export function merge(all: readonly Latencies[]): Latencies {
  const sum = noLatencies()
  for (const one of all) {
    sum.count += one.count
    sum.maxMs = Math.max(sum.maxMs, one.maxMs)
    for (const [bucket, count] of one.buckets.entries()) sum.buckets[bucket]! += count
  }
  return sum
}

/** The bucket's upper end below which `share` of all are: as exact as the buckets. */
export function atMost(latencies: Latencies, share: number): number {
  let seen = 0
  for (const [bucket, count] of latencies.buckets.entries()) {
    seen += count
    if (seen >= latencies.count * share) return Math.min(BUCKETS_MS[bucket] ?? latencies.maxMs, latencies.maxMs)
  }
  return latencies.maxMs
}
