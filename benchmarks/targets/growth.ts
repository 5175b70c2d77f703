/** P3: what each clean session adds to the pause, in one process and in several pairs of them. */
import type { Bench } from '../bench.js'
import { median, slope } from '../statistics.js'
import type { PairsParams, PairsTrial } from '../trials/pairs.js'
import type { UpgradeParams, UpgradeTrial } from '../trials/upgrade.js'
import { judge, type Target } from '../verdict.js'
import type { Goals } from './goals.js'

/** The slope of each round on its own: rounds differ by what else the machine did. */
export async function measureGrowth(bench: Bench, goals: Goals): Promise<Target[]> {
  const { counts } = bench.plan
  const each = counts.map((sessions) => bench.upgradeParams({ sessions, observedMs: 0 }))
  const rounds = await bench.alternate<UpgradeTrial, UpgradeParams>('upgrade', each)
  const slopes = rounds.map((row) => slope(row.map(({ sessions, pauseMs }) => [sessions, pauseMs.max * 1000] as const)))
  const pauseMs = Object.fromEntries(
    counts.map((count, index) => [count, median(rounds.map((row) => row[index]!.pauseMs.max))]),
  )
  return [judge(goals.P3, median(slopes), { slopes, pauseMs })]
}

/** Large pairs against as many small ones, in the same round: what is left is due to the sessions. */
export async function measureGrowthOfPairs(bench: Bench, goals: Goals): Promise<Target[]> {
  const { pairs, counts, stateBytes } = bench.plan
  const few = counts[0]!
  const of = (sessions: number): PairsParams => ({ pairs: pairs.count, sessions, stateBytes })
  const rounds = await bench.alternate<PairsTrial, PairsParams>('pairs', [of(few), of(pairs.sessions)])
  const perSession = rounds.map(
    ([small, large]) => ((median(large!.inTurnMs) - median(small!.inTurnMs)) * 1000) / (pairs.sessions - few),
  )
  const detail = {
    sessions: rounds[0]![1]!.sessions,
    inTurnMs: rounds.map((row) => row.map(({ inTurnMs }) => inTurnMs)),
    atOnceMs: rounds.map((row) => row.map(({ atOnceMs }) => atOnceMs)),
  }
  return [judge(goals.P3pairs, median(perSession), detail)]
}
