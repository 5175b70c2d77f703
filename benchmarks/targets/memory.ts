/** P5: what both processes hold at one instant of the transfer, with many small sessions and with a large state. */
import type { Bench } from '../bench.js'
import { medianOf } from '../statistics.js'
import type { MemoryParams, MemoryTrial } from '../trials/memory.js'
import { type Goal, judge, type Target, unmeasured } from '../verdict.js'
import type { Goals } from './goals.js'
import { whyNotIndependent } from './independent.js'

type Load = 'small' | 'large'

function paramsOf({ plan }: Bench, load: Load, mode: MemoryParams['mode']): MemoryParams {
  const { sessions, stateBytes, active, large } = plan
  return load === 'small' ? { sessions, stateBytes, active, mode } : { ...large, active: 0, mode }
}

async function measure(
  bench: Bench,
  goal: Goal,
  params: MemoryParams,
  heldAgainst: (trial: MemoryTrial) => number,
): Promise<Target[]> {
  const trials = await bench.series<MemoryTrial, MemoryParams>('memory', params)
  const reason =
    params.mode === 'independent'
      ? trials.map(({ followed }) => whyNotIndependent(followed)).find((why) => why !== undefined)
      : undefined
  if (reason !== undefined) return [unmeasured(goal, reason)]
  const detail = {
    peakMb: medianOf(trials, ({ peakMb }) => peakMb),
    firstMb: medianOf(trials, ({ firstMb }) => firstMb),
    beforeMb: medianOf(trials, ({ beforeMb }) => beforeMb),
    afterMb: medianOf(trials, ({ afterMb }) => afterMb),
    trials: trials.map((trial) => trial.detail),
  }
  return [
    judge(
      goal,
      medianOf(trials, (trial) => trial.peakMb / heldAgainst(trial)),
      detail,
    ),
  ]
}

const both = ({ beforeMb, afterMb }: MemoryTrial): number => beforeMb + afterMb
const predecessor = ({ beforeMb }: MemoryTrial): number => beforeMb

export const measureAllAtOnce = (bench: Bench, goals: Goals): Promise<Target[]> =>
  measure(bench, goals.P5, paramsOf(bench, 'small', 'touch'), both)
export const measureLarge = (bench: Bench, goals: Goals): Promise<Target[]> =>
  measure(bench, goals.P5large, paramsOf(bench, 'large', 'touch'), both)
export const measureIndependentMemory = (bench: Bench, goals: Goals): Promise<Target[]> =>
  measure(bench, goals.P5i, paramsOf(bench, 'small', 'independent'), predecessor)
export const measureLargeIndependent = (bench: Bench, goals: Goals): Promise<Target[]> =>
  measure(bench, goals.P5ilarge, paramsOf(bench, 'large', 'independent'), predecessor)
