/** Keeps the account of one upgrade: what became of whom and why, how long it took. Its sum is the result. */
import { nowMs } from '../sys/clock.js'
import type { ReasonFields } from '../wire/fields.js'
import type { Facts } from './facts.js'
import type { Draining, Outcome, PhaseDuration, Reason, Serves, Side, UpgradeResult } from './result.js'

/** How things stand at the instant an upgrade is decided: later ones change them, while this one drains. */
export interface Decision {
  readonly serves: Serves
  readonly from: Side
  readonly to: Side
  readonly listeners: UpgradeResult['listeners']
  readonly draining: readonly Draining[]
}

export class Account {
  readonly #startedAt = new Date().toISOString()
  readonly #startedAtMs = nowMs()
  readonly #reasons: Reason[] = []
  readonly #spent: PhaseDuration[] = []
  #refused = false
  #drained = 0
  #dropped = 0
  /** Where only the successor can say it. */
  #followed = 0

  /** It stands in the way of the whole. */
  fail(reason: string): void {
    this.note(reason)
  }

  /** It has to be known, and stood in nobody's way. */
  note(reason: string): void {
    this.#reasons.push({ of: 'upgrade', reason, count: 1 })
  }

  /** An expected end, before anything has moved. */
  refuse(reasons: readonly string[]): void {
    this.#refused = true
    for (const reason of reasons) this.fail(reason)
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

  result(id: number, { active, committed, drained, abortedBy }: Facts, decision: Decision): UpgradeResult {
    const aborted = active === undefined ? (abortedBy.predecessor ?? abortedBy.successor) : undefined
    const undone: Outcome = this.#refused ? 'refused' : (aborted?.outcome ?? 'failed')
    const refusals = [...(committed?.reasons ?? []), ...(aborted?.reasons ?? [])].map(
      (reason): Reason => ({ of: wordFor(reason), ...defined(reason) }),
    )
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
      id,
      outcome: active !== undefined ? 'committed' : undone,
      serves: decision.serves,
      startedAt: this.#startedAt,
      durationMs: nowMs() - this.#startedAtMs,
      from: decision.from,
      to: decision.to,
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
      listeners: decision.listeners,
      draining: decision.draining,
    }
  }
}

function wordFor({ kind, held }: ReasonFields): Reason['of'] {
  if (held === true) return 'held'
  return kind === undefined ? 'upgrade' : 'refused'
}

/** Without the keys that are undefined, or said by `of`. */
function defined({ kind, version, held: _, ...rest }: ReasonFields): Omit<Reason, 'of'> {
  return { ...rest, ...(kind === undefined ? {} : { kind }), ...(version === undefined ? {} : { version }) }
}
