/** P1i: sessions that move batch by batch, each paused for its own batch only. */
import type { Bench } from '../bench.js'
import { median, medianOf } from '../statistics.js'
import type { UpgradeTrial } from '../trials/upgrade.js'
import type { Followed } from '../trials/upgrade-once.js'
import { judge, type Target, unmeasured } from '../verdict.js'
import type { Goals } from './goals.js'

/** Why a trial does not show independent sessions; undefined when it does. */
export function whyNotIndependent(followed: Followed | undefined): string | undefined {
  if (followed === undefined) return 'this release moves all sessions at one instant: its result has no `followed`'
  return followed.pauseMs === null || followed.sessions === 0 ? 'no session moved independently' : undefined
}

/** Up to this share of sessions may stand in the freeze without being seen in a p99. */
const UNSEEN = 0.01

/**
 * Of all sessions: those that followed, and those that moved in the freeze for a reason of their own. Their pauses come
 * apart, so where both count the longer one is taken: never less than it was.
 */
export function pauseOfAll({ sessions, followed, pauseMs }: Pick<UpgradeTrial, 'sessions' | 'followed' | 'pauseMs'>): {
  p99: number
  max: number
} {
  const { sessions: following, pauseMs: own } = followed!
  const isSeen = sessions - following > sessions * UNSEEN
  return {
    p99: isSeen ? Math.max(own!.p99, pauseMs.p99) : own!.p99,
    max: sessions > following ? Math.max(own!.max, pauseMs.max) : own!.max,
  }
}

export async function measureIndependent(bench: Bench, goals: Goals): Promise<Target[]> {
  const { active } = bench.plan
  const trials = await bench.series<UpgradeTrial, object>(
    'upgrade',
    bench.upgradeParams({ active, mode: 'independent' }),
  )
  const reason = trials.map(({ followed }) => whyNotIndependent(followed)).find((why) => why !== undefined)
  if (reason !== undefined) return [unmeasured(goals.P1i, reason), unmeasured(goals.P1ilatency, reason)]
  const pauses = trials.map(pauseOfAll)
  const ratios = trials.map(({ before, during }) => during.max / before.max)
  return [
    judge(
      goals.P1i,
      medianOf(pauses, ({ p99 }) => p99),
      {
        maxMs: medianOf(pauses, ({ max }) => max),
        followed: trials.map(({ followed }) => followed!.sessions),
        followedMs: trials.map(({ followed }) => followed!.pauseMs),
        inFreezeMs: trials.map(({ pauseMs }) => pauseMs.max),
      },
    ),
    judge(goals.P1ilatency, median(ratios), {
      worstBeforeMs: medianOf(trials, ({ before }) => before.max),
      worstDuringMs: medianOf(trials, ({ during }) => during.max),
      ratios,
    }),
  ]
}
