/** Keeps the account of one pair: what became of whom and why, how long it took. Its sum is the worker's part of the result. */
import { nowMs } from '../sys/clock.js'
import type { ReasonFields } from '../wire/fields.js'
import type { Facts } from './facts.js'
import type { Outcome, PhaseDuration, Reason, WorkerResult } from './result.js'

/** How things stand at the instant a pair is decided: later upgrades change them, while this one drains. */
export type Decision = Pick<WorkerResult, 'serves' | 'from' | 'to'>

export interface PairResult extends Omit<WorkerResult, 'worker'> {
  readonly reasons: readonly Reason[]
  readonly phases: readonly PhaseDuration[]
  /** It ended because another one had failed: it has no reasons of its own. */
  readonly isOverruled: boolean
}

export class Account {
  readonly #reasons: Reason[] = []
  readonly #spent: PhaseDuration[] = []
  #drained = 0
  #dropped = 0
  /** Where only the successor can say it. */
  #followed = 0
  #isOverruled = false
  #isRefused = false

  /** It stands in the way of the whole. */
  fail(reason: string): void {
    this.note(reason)
  }

  /** An expected end, before anything has moved. */
  refuse(reasons: readonly string[]): void {
    this.#isRefused = true
    for (const reason of reasons) this.fail(reason)
  }

  /** It has to be known, and stood in nobody's way. */
  note(reason: string): void {
    this.#reasons.push({ of: 'upgrade', reason, count: 1 })
  }

  /** It was ended for another's sake: what its sides make of that is no reason. */
  overrule(): void {
    this.#isOverruled = true
  }

  drop(reason: string, count: number): void {
    this.#dropped += count
    if (count > 0) this.#reasons.push({ of: 'dropped', reason, count })
  }

  follow(count: number): void {
    this.#followed = count
  }

  drain(reason: string, count: number): void {
    this.#drained += count
    if (count > 0) this.#reasons.push({ of: 'drained', reason, count })
  }

  spend(phase: string, sinceMs: number): void {
    this.#spent.push({ phase, durationMs: nowMs() - sinceMs })
  }

  /** At the one instant and after it. */
  moved({ active, committed, drained }: Pick<Facts, 'active' | 'committed' | 'drained'>): number {
    return (active?.sessions ?? committed?.moved ?? 0) + (drained?.followed?.sessions ?? this.#followed)
  }

  result({ active, committed, drained, abortedBy }: Facts, { serves, from, to }: Decision): PairResult {
    const aborted = active === undefined ? (abortedBy.predecessor ?? abortedBy.successor) : undefined
    const isWithdrawn = active === undefined && (this.#isOverruled || (aborted !== undefined && isOverruled(aborted)))
    const undone: Outcome = this.#isRefused ? 'refused' : (aborted?.outcome ?? 'failed')
    const said = isWithdrawn ? [] : [...(committed?.reasons ?? []), ...(aborted?.reasons ?? [])]
    const refusals = said.map((reason): Reason => ({ of: wordFor(reason), ...defined(reason) }))
    // Its reasons for those that ended come first, and count as many as it says have ended.
    let ended = drained?.drained ?? 0
    const drains = (drained?.reasons ?? []).map((reason): Reason => {
      const of = ended > 0 ? 'drained' : 'dropped'
      ended -= reason.count
      return { of, ...defined(reason) }
    })
    const forced = (drained?.forced ?? []).map((reason): Reason => ({ of: 'forced', ...defined(reason) }))
    const [spawn, ...later] = this.#spent
    return {
      outcome: active !== undefined ? 'committed' : undone,
      isOverruled: isWithdrawn,
      serves,
      from,
      to,
      sessions: {
        moved: active === undefined ? 0 : this.moved({ active, committed, drained }),
        drained: this.#drained + (drained?.drained ?? 0),
        dropped: this.#dropped + (drained?.dropped ?? 0),
        refused: refusals.reduce((sum, { of, count }) => sum + (of === 'refused' ? count : 0), 0),
      },
      reasons: [...refusals, ...this.#reasons, ...drains, ...forced],
      pauseMs: active?.pauseMs ?? aborted?.pauseMs ?? null,
      followed: drained?.followed ?? { sessions: this.#followed, pauseMs: null },
      phases: [...(spawn === undefined ? [] : [spawn]), ...(committed?.phases ?? aborted?.phases ?? []), ...later],
    }
  }
}

/** A predecessor that others have overruled says it without a reason. */
export function isOverruled({ outcome, reasons }: { outcome: string; reasons: readonly unknown[] }): boolean {
  return outcome === 'failed' && reasons.length === 0
}

function wordFor({ kind, held }: ReasonFields): Reason['of'] {
  if (held === true) return 'held'
  return kind === undefined ? 'upgrade' : 'refused'
}

/** Without the keys that are undefined, or said by `of`. */
function defined({ kind, version, held: _, ...rest }: ReasonFields): Omit<Reason, 'of'> {
  return { ...rest, ...(kind === undefined ? {} : { kind }), ...(version === undefined ? {} : { version }) }
}
