/** A goal, what was measured for it, and whether that is enough. */

export interface Goal {
  readonly name: string
  readonly what: string
  readonly unit: string
  /** Which side of the limit is good: at most, or at least. */
  readonly at: 'most' | 'least'
  readonly limit: number
  readonly against: string
}

export interface Target {
  readonly name: string
  readonly what: string
  /** Null when it was not measured: `reason` says why, and it counts as not met. */
  readonly value: number | null
  readonly unit: string
  readonly target: string
  readonly met: boolean
  readonly against: string
  readonly reason?: string
  /** What else was seen; for readers, not for judging. */
  readonly detail?: Readonly<Record<string, unknown>>
}

const described = ({ name, what, unit, at, limit, against }: Goal) => ({
  name,
  what,
  unit,
  target: `${at === 'most' ? '≤' : '≥'} ${limit}`,
  against,
})

export function judge(goal: Goal, value: number, detail?: Target['detail']): Target {
  if (!Number.isFinite(value)) return unmeasured(goal, 'the trials gave no figure')
  const met = goal.at === 'most' ? value <= goal.limit : value >= goal.limit
  return { ...described(goal), value, met, ...(detail === undefined ? {} : { detail }) }
}

export function unmeasured(goal: Goal, reason: string): Target {
  return { ...described(goal), value: null, met: false, reason }
}
