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

export const median = (values: readonly number[]): number =>
  percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  )

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
