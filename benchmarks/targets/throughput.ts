/** P4: between upgrades the library costs nothing. */
import type { Bench } from '../bench.js'
import type { ProtocolName } from '../protocols.js'
import { median, medianOf } from '../statistics.js'
import type { FloodParams, FloodRound, FloodTrial } from '../trials/flood.js'
import { type Goal, judge, type Target } from '../verdict.js'
import type { Goals } from './goals.js'

async function measureFlood(bench: Bench, goal: Goal, protocol: ProtocolName): Promise<Target[]> {
  const params: FloodParams = { protocol, ...bench.plan.flood }
  const trials = await bench.series<FloodTrial, FloodParams>('flood', params)
  const ratio = (rounds: readonly FloodRound[]): number => medianOf(rounds, (round) => round.with / round.without)
  const fresh = trials.flatMap((trial) => trial.fresh)
  const upgraded = trials.flatMap((trial) => trial.upgraded)
  const detail = {
    fresh: ratio(fresh),
    upgraded: ratio(upgraded),
    /** The same ratio of two servers without the library: what is further from 1 than this is the library's. */
    control: medianOf([...fresh, ...upgraded], (round) => round.control / round.without),
    ofEachTrial: trials.map((trial) => [ratio(trial.fresh), ratio(trial.upgraded)]),
    withPerSecond: medianOf(upgraded, (round) => round.with),
    withoutPerSecond: medianOf(upgraded, (round) => round.without),
    // Of the server alone: where the clients are the slower side, throughput would hide what the library costs.
    cpuUsWith: median(trials.map(({ cpuUs }) => cpuUs.with)),
    cpuUsControl: median(trials.map(({ cpuUs }) => cpuUs.control)),
    cpuUsWithout: median(trials.map(({ cpuUs }) => cpuUs.without)),
  }
  // Before the first upgrade and after one: the worse of the two counts.
  return [judge(goal, Math.min(detail.fresh, detail.upgraded), detail)]
}

export const measureEcho = (bench: Bench, goals: Goals): Promise<Target[]> => measureFlood(bench, goals.P4, 'tcp')
export const measureHttp = (bench: Bench, goals: Goals): Promise<Target[]> => measureFlood(bench, goals.P4http, 'http')
