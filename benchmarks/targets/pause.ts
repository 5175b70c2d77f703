/** P1 and P6: the pause under load, against what process.send takes for the same, and the command. */
import type { Bench } from '../bench.js'
import { median, medianOf } from '../statistics.js'
import type { UpgradeTrial } from '../trials/upgrade.js'
import { judge, type Target } from '../verdict.js'
import type { Goals } from './goals.js'

const underLoad = (bench: Bench): Promise<UpgradeTrial[]> =>
  bench.series('upgrade', bench.upgradeParams({ active: bench.plan.active }))

export async function measurePause(bench: Bench, goals: Goals): Promise<Target[]> {
  const trials = await underLoad(bench)
  const detail = {
    p99Ms: trials.map(({ pauseMs }) => pauseMs.p99),
    worstBeforeMs: medianOf(trials, ({ before }) => before.max),
    worstDuringMs: medianOf(trials, ({ during }) => during.max),
    phases: trials[0]!.phases.map(({ phase }, index) => ({
      phase,
      durationMs: medianOf(trials, ({ phases }) => phases[index]?.durationMs ?? Number.NaN),
    })),
  }
  return [
    judge(
      goals.P1,
      medianOf(trials, ({ pauseMs }) => pauseMs.p99),
      detail,
    ),
    judge(
      goals.P1max,
      medianOf(trials, ({ pauseMs }) => pauseMs.max),
    ),
  ]
}

/** Paired by round: the same trial number of both. */
export async function measurePauseRatio(bench: Bench, goals: Goals): Promise<Target[]> {
  const [trials, rounds] = [await underLoad(bench), await bench.rounds()]
  const ratios = trials.map(({ pauseMs }, index) => rounds[index]!.moves['ipc-all'].durationMs / pauseMs.p99)
  const detail = { processSendMs: medianOf(rounds, ({ moves }) => moves['ipc-all'].durationMs), ratios }
  return [judge(goals.P1ratio, median(ratios), detail)]
}

export async function measureCommand(bench: Bench, goals: Goals): Promise<Target[]> {
  const trials = await underLoad(bench)
  return [judge(goals.P6, medianOf(trials, ({ beyondStartMs }) => beyondStartMs) / 1000)]
}
