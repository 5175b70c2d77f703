/** P4: between upgrades the library costs nothing. */
import type { Bench } from '../bench.js'
import type { ProtocolName } from '../protocols.js'
import { median, medianOf } from '../statistics.js'
import type { FloodParams, FloodTrial } from '../trials/flood.js'
import { type Goal, judge, type Target } from '../verdict.js'
import type { Goals } from './goals.js'

async function measureFlood(bench: Bench, goal: Goal, protocol: ProtocolName): Promise<Target[]> {
  const params: FloodParams = { protocol, ...bench.plan.flood }
  const trials = await bench.series<FloodTrial, FloodParams>('flood', params)
  const rounds = trials.flatMap((trial) => trial.rounds)
  const ratio = medianOf(rounds, (round) => round.with / round.without)
  const detail = {
    ofEachTrial: trials.map((trial) => medianOf(trial.rounds, (round) => round.with / round.without)),
    withPerSecond: medianOf(rounds, (round) => round.with),
    withoutPerSecond: medianOf(rounds, (round) => round.without),
    // Of the server alone: where the clients are the slower side, throughput would hide what the library costs.
    cpuUsWith: median(trials.map(({ cpuUs }) => cpuUs.with)),
    cpuUsWithout: median(trials.map(({ cpuUs }) => cpuUs.without)),
  }
  return [judge(goal, ratio, detail)]
}

export const measureEcho = (bench: Bench, goals: Goals): Promise<Target[]> => measureFlood(bench, goals.P4, 'tcp')
export const measureHttp = (bench: Bench, goals: Goals): Promise<Target[]> => measureFlood(bench, goals.P4http, 'http')
