/** One side's way through the phase table: where it is, how long each phase took, and the fence before a step that needs it. */
import { nowMs } from '../sys/clock.js'
import type { Fence } from './fence.js'
import { type PhaseOf, type Side, stepOf } from './phases.js'
import type { PhaseDuration } from './types.js'

export class Machine<S extends Side> {
  readonly durations: PhaseDuration[] = []
  readonly #side: S
  readonly #fence: Fence
  #phase: PhaseOf<S>
  #sinceMs = nowMs()

  constructor(side: S, fence: Fence, first: PhaseOf<S>) {
    this.#side = side
    this.#fence = fence
    this.#phase = first
  }

  get phase(): PhaseOf<S> {
    return this.#phase
  }

  may(event: string): boolean {
    return stepOf(this.#side, this.#phase, event) !== undefined
  }

  /** Takes the step; true when it led to another phase. Blocks while it fences. */
  take(event: string): boolean {
    const step = stepOf(this.#side, this.#phase, event)
    if (step === undefined) throw new Error(`${event} cannot happen in phase ${this.#phase} of the ${this.#side}`)
    // Until commit is said, a successor that has the token took it to kill this process. Afterwards it may be active.
    if (step.fence === 'dead' && this.may('yielded') && !this.#fence.claim()) return this.take('yielded')
    if (step.fence === 'dead') this.#fence.ensureDead()
    else if (step.fence === 'token') this.#fence.ensureOurs()
    if (step.to === this.#phase) return false
    const now = nowMs()
    this.durations.push({ phase: this.#phase, durationMs: now - this.#sinceMs })
    this.#sinceMs = now
    this.#phase = step.to
    return true
  }
}
