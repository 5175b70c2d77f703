/** The owner of the trial that is under way: at most one, of the newest committed upgrade. */
import { messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import { Probation, type ProbationContext } from './probation.js'
import type { ProbationResult, UpgradeResult } from './result.js'

export interface TrialContext extends ProbationContext {
  /** That were started by the upgrade. */
  readonly generation: number
  readonly logger: Logger
  /** When an upgrade that is in progress now is decided. */
  decided(): Promise<void> | undefined
  /** Moves everything back. */
  undo(): Promise<UpgradeResult>
}

export class Trials {
  #current: Probation | undefined
  #generation = 0

  get current(): { readonly upgrade: number; readonly leftMs: number } | null {
    return this.#current === undefined ? null : { upgrade: this.#current.id, leftMs: this.#current.leftMs }
  }

  has(generation: number): boolean {
    return this.#current !== undefined && generation === this.#generation
  }

  /** A process has ended unasked. */
  crashed(generation: number, reason: string): void {
    if (this.has(generation)) this.#current?.crashed(`generation ${generation} ${reason}`)
  }

  /** Another upgrade is committed, or all is stopped. */
  end(): void {
    this.#current?.end()
    this.#current = undefined
  }

  /** To the end of the trial, and of the undoing. */
  async run(context: TrialContext): Promise<ProbationResult> {
    const { id, generation, logger, decided, undo } = context
    const probation = new Probation(context)
    this.#current = probation
    this.#generation = generation
    const trial = await probation.over
    // One that was begun meanwhile, and is not committed, changes nothing.
    await decided()
    const isNewest = this.#current === probation
    if (isNewest) this.#current = undefined
    if (trial.verdict !== 'failed') return { verdict: trial.verdict }
    const { reason } = trial
    if (!isNewest) return { verdict: 'ended', reason }
    logger.error({ upgrade: id, reason }, 'the upgrade is undone')
    try {
      const undone = await undo()
      return { verdict: undone.outcome === 'committed' ? 'undone' : 'unhealthy', reason, undo: undone }
    } catch (error) {
      return { verdict: 'unhealthy', reason: `${reason}; it could not be undone: ${messageOf(error)}` }
    }
  }
}
