/** P1i: sessions that move batch by batch, each paused for its own batch only. */
import type { Bench } from '../bench.js'
import { median, medianOf } from '../statistics.js'
import type { UpgradeTrial } from '../trials/upgrade.js'
import type { Followed } from '../trials/upgrade-once.js'
import { judge, type Target, unmeasured } from '../verdict.js'
import type { Goals } from './goals.js'

/** Why a trial does not show independent sessions; undefined when it does. */
export function whyNotIndependent(followed: Followed | undefined, sessions: number): string | undefined {
  if (followed === undefined) return 'this release moves all sessions at one instant: its result has no `followed`'
  if (followed.pauseMs === null || followed.sessions === 0) return 'no session moved independently'
  return followed.sessions === sessions ? undefined : `only ${followed.sessions} of ${sessions} moved independently`
}

export async function measureIndependent(bench: Bench, goals: Goals): Promise<Target[]> {
  const { active, sessions } = bench.plan
  const trials = await bench.series<UpgradeTrial, object>(
    'upgrade',
    bench.upgradeParams({ active, mode: 'independent' }),
  )
  for (const { followed } of trials) {
    const reason = whyNotIndependent(followed, sessions)
    if (reason !== undefined) return [unmeasured(goals.P1i, reason), unmeasured(goals.P1ilatency, reason)]
  }
  const pauses = trials.map(({ followed }) => followed!.pauseMs!)
  const ratios = trials.map(({ before, during }) => during.max / before.max)
  const detail = {
    worstBeforeMs: medianOf(trials, ({ before }) => before.max),
    worstDuringMs: medianOf(trials, ({ during }) => during.max),
    ratios,
  }
  return [
    judge(
      goals.P1i,
      medianOf(pauses, ({ p99 }) => p99),
      { maxMs: medianOf(pauses, ({ max }) => max) },
    ),
    judge(goals.P1ilatency, median(ratios), detail),
  ]
}
