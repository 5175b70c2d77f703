/** P2: how fast idle sessions move, against Node's own way in the same round, and on Node 24. */
import type { Bench, Round } from '../bench.js'
import { median, medianOf } from '../statistics.js'
import type { Subject } from '../subjects/subjects.js'
import type { UpgradeTrial } from '../trials/upgrade.js'
import { judge, type Target, unmeasured } from '../verdict.js'
import type { Goals } from './goals.js'

export const rateOf = ({ sessions, transferMs }: UpgradeTrial): number => (sessions / transferMs) * 1000

const detailOf = (trials: readonly UpgradeTrial[]) => ({
  rates: trials.map(rateOf),
  transferMs: medianOf(trials, ({ transferMs }) => transferMs),
  checkMs: medianOf(trials, ({ checkMs }) => checkMs),
  /** The check counted too. */
  rateWithCheck: medianOf(trials, ({ sessions, transferMs, checkMs }) => (sessions / (transferMs + checkMs)) * 1000),
})

export async function measureRate(bench: Bench, goals: Goals): Promise<Target[]> {
  const trials = (await bench.rounds()).map(({ upgrade }) => upgrade)
  return [judge(goals.P2, medianOf(trials, rateOf), detailOf(trials))]
}

export async function measureRatios(bench: Bench, goals: Goals): Promise<Target[]> {
  const rounds = await bench.rounds()
  const ratios = (peer: Subject): number[] =>
    rounds.map(({ upgrade, moves }: Round) => rateOf(upgrade) / moves[peer].sessionsPerSecond)
  return [
    judge(goals.P2all, median(ratios('ipc-all')), { ratios: ratios('ipc-all') }),
    judge(goals.P2best, median(ratios('ipc')), { ratios: ratios('ipc'), ofFloor: median(ratios('floor')) }),
  ]
}

export async function measureRateOnNode24(bench: Bench, goals: Goals): Promise<Target[]> {
  const node = await bench.nodeOf(24)
  if (node instanceof Error) return [unmeasured(goals.P2node24, node.message)]
  const trials = await bench.series<UpgradeTrial, object>('upgrade', bench.upgradeParams({ observedMs: 0, node }))
  const other = trials.find((trial) => !trial.node.startsWith('24.'))
  if (other) return [unmeasured(goals.P2node24, `${node} is Node ${other.node}`)]
  return [judge(goals.P2node24, medianOf(trials, rateOf), { node: trials[0]!.node, ...detailOf(trials) })]
}
