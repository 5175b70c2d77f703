/** How long to wait before a crashed runtime is started again, and when to give up. */

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 10_000
/** A crash this long after the last one begins a new row. */
const ROW_MS = 60_000

export class Backoff {
  readonly #maxCrashes: number
  #crashes = 0
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(maxCrashes: number) {
    this.#maxCrashes = maxCrashes
  }

  /** Notes a crash: the delay before the next start, or undefined when it was one too many. */
  next(atMs: number): number | undefined {
    if (atMs - this.#lastMs > ROW_MS) this.#crashes = 0
    this.#lastMs = atMs
    this.#crashes++
    if (this.#crashes >= this.#maxCrashes) return undefined
    return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (this.#crashes - 1))
  }
}
