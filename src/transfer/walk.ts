/** One side's way through the table of what follows: where it is, and who has the token of the batch under way. */
import { type FollowingPhase, followingStepOf, type Side } from './phases.js'
import type { Token } from './token.js'

export class Walk<S extends Side> {
  readonly #side: S
  #phase: FollowingPhase<S>

  constructor(side: S, first: FollowingPhase<S>) {
    this.#side = side
    this.#phase = first
  }

  get phase(): FollowingPhase<S> {
    return this.#phase
  }

  may(event: string): boolean {
    return followingStepOf(this.#side, this.#phase, event) !== undefined
  }

  /** @param token of the batch under way, where there is one. */
  take(event: string, token?: Token): void {
    const step = followingStepOf(this.#side, this.#phase, event)
    if (step === undefined) throw new Error(`${event} cannot happen in phase ${this.#phase} of the ${this.#side}`)
    if (step.fence === 'claim' && !token?.claim()) this.take('yielded', token)
    else this.#phase = step.to
  }
}
