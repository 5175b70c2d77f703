/** The time after a commit in which the new release is on trial: it is well until the end of it, or the upgrade is undone. */
import { nowMs } from '../sys/clock.js'
import { type HealthCheck, illness, type ServingProcess } from './health.js'

/** Each as a fact of a whole second: shorter would be a load, longer would be noticed late. */
const LOOK_EVERY_MS = 1_000
/** One look that fails may be a moment's; so many in a row are not. */
const MAX_FAILURES = 3

export interface ProbationContext {
  /** Of the upgrade. */
  readonly id: number
  readonly probationMs: number
  /** Undefined: only a crash is a failure. */
  readonly health: HealthCheck | undefined
  /** Those of the new release that serve. */
  processes(): ServingProcess[]
}

/** 'ended': another upgrade, or a stop, came before it was over. */
export type Trial = { readonly verdict: 'passed' | 'ended' } | { readonly verdict: 'failed'; readonly reason: string }

export class Probation {
  readonly id: number
  readonly over: Promise<Trial>
  readonly #context: ProbationContext
  readonly #untilMs: number
  #resolve: (trial: Trial) => void = () => undefined
  #timer: NodeJS.Timeout | undefined
  #isOver = false
  #failures = 0

  constructor(context: ProbationContext) {
    this.id = context.id
    this.#context = context
    this.#untilMs = nowMs() + context.probationMs
    this.over = new Promise((resolve) => {
      this.#resolve = resolve
    })
    void this.#look()
  }

  get leftMs(): number {
    return Math.max(0, this.#untilMs - nowMs())
  }

  /** A process of the new release has ended unasked. */
  crashed(reason: string): void {
    this.#end({ verdict: 'failed', reason })
  }

  end(): void {
    this.#end({ verdict: 'ended' })
  }

  async #look(): Promise<void> {
    const { health, processes } = this.#context
    const wrong = health === undefined ? undefined : await illness(health, processes())
    if (this.#isOver) return
    this.#failures = wrong === undefined ? 0 : this.#failures + 1
    if (this.#failures >= MAX_FAILURES)
      this.#end({ verdict: 'failed', reason: `unhealthy ${MAX_FAILURES} times in a row: ${wrong}` })
    // Not in the middle of a doubt.
    else if (this.leftMs === 0 && this.#failures === 0) this.#end({ verdict: 'passed' })
    else this.#timer = setTimeout(() => void this.#look(), Math.min(LOOK_EVERY_MS, this.leftMs || LOOK_EVERY_MS))
  }

  #end(trial: Trial): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#resolve(trial)
  }
}
