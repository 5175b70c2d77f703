/** What a mover says of its move, and the figures drawn from several. */

/** Times on the machine's monotonic clock, in milliseconds; index by session. */
export interface Move {
  frozenAt: readonly number[]
  liveAt: readonly number[]
  bytes: number
}

export interface MoveFigures {
  moved: number
  bytes: number
  /** First freeze to last session live. */
  durationMs: number
  sessionsPerSecond: number
  pauseMs: { p50: number; p99: number; max: number }
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** Of an even number of values the mean of the middle two: with two trials, neither the better nor the worse. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  if (Number.isInteger(middle)) return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
  return sorted[Math.floor(middle)] ?? Number.NaN
}

/**
 * What the median of all is between with 95 % confidence, given a sample of them: from the ranks alone, whatever their
 * distribution (n/2 ± 1.96 · √n / 2).
 */
export function medianInterval(values: readonly number[]): [least: number, most: number] {
  const sorted = values.toSorted((a, b) => a - b)
  const reach = (1.96 * Math.sqrt(sorted.length)) / 2
  const at = (rank: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN
  return [at(Math.floor(sorted.length / 2 - reach) - 1), at(Math.ceil(sorted.length / 2 + reach))]
}

export const medianOf = <T>(items: readonly T[], pick: (item: T) => number): number => median(items.map(pick))

/** By least squares: how much y grows with each x. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (pick: 0 | 1): number => points.reduce((sum, point) => sum + point[pick], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

export function figuresOf({ frozenAt, liveAt, bytes }: Move): MoveFigures {
  const pauses = liveAt.map((live, index) => live - frozenAt[index]!).sort((a, b) => a - b)
  const first = frozenAt.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY)
  const durationMs = liveAt.reduce((most, at) => Math.max(most, at), 0) - first
  return {
    moved: liveAt.length,
    bytes,
    durationMs,
    sessionsPerSecond: (liveAt.length / durationMs) * 1000,
    pauseMs: { p50: percentile(pauses, 0.5), p99: percentile(pauses, 0.99), max: pauses.at(-1) ?? Number.NaN },
  }
}

/** How a subject announces the figures of its move. */
export const announceMove = (move: Move): void => console.log(`moved ${JSON.stringify(figuresOf(move))}`)
