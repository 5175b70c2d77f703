/** When copying has come as far as it gets: what is left goes in the freeze, where every session waits for it. */
import { nowMs } from '../sys/clock.js'

/** Few enough to go in the freeze. */
const LITTLE = 16
/** Few enough when another round does not make them fewer: then they are what is always in use. */
const BEARABLE = 256
/** A round that leaves more than this share of what was left before has not gained on the load. */
const GAIN = 0.75
/** So many rounds without a gain, and more would not help either. */
const MAX_STALLS = 4

export class Convergence {
  readonly #untilMs: number
  #before = Number.POSITIVE_INFINITY
  #stalls = 0

  constructor(copyMs: number) {
    this.#untilMs = nowMs() + copyMs
  }

  /** Called before each round with how many sessions it would have. `unsettled`: too many, and it would go on like this. */
  judge(left: number): 'again' | 'settled' | 'unsettled' {
    const isGain = left <= this.#before * GAIN
    this.#before = left
    if (left <= LITTLE) return 'settled'
    if (isGain) this.#stalls = 0
    else if (left <= BEARABLE) return 'settled'
    else this.#stalls++
    return this.#stalls < MAX_STALLS && nowMs() < this.#untilMs ? 'again' : 'unsettled'
  }
}
