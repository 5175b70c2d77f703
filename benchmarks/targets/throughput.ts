/** P4: between upgrades the library costs nothing. */
import type { Bench } from '../bench.js'
import { medianInterval, medianOf } from '../statistics.js'
import type { FloodParams, FloodPhase, FloodRound, FloodTrial, SubjectName } from '../trials/flood.js'
import { type Goal, judge, type Target } from '../verdict.js'
import type { Goals } from './goals.js'

async function measureFlood(bench: Bench, goal: Goal, subject: SubjectName): Promise<Target[]> {
  const params: FloodParams = { subject, ...bench.plan.flood }
  const trials = await bench.series<FloodTrial, FloodParams>('flood', params)
  const [fresh, upgraded] = (['fresh', 'upgraded'] as const).map((phase) =>
    figures(trials.map((trial) => trial[phase])),
  )
  // Before the first upgrade and after one: the worse of the two counts.
  return [judge(goal, Math.min(fresh!.throughput, upgraded!.throughput), { fresh, upgraded })]
}

function figures(phases: readonly FloodPhase[]) {
  const rounds = phases.flatMap((phase) => phase.rounds)
  const ofWithout = (side: keyof FloodRound) => (round: FloodRound) => round[side] / round.without
  return {
    throughput: medianOf(rounds, ofWithout('with')),
    /** What the median is between, with 95 % confidence. */
    between: medianInterval(rounds.map(ofWithout('with'))),
    /** The same ratio of two servers without the library: what is further from 1 than this is the library's. */
    control: medianOf(rounds, ofWithout('control')),
    controlBetween: medianInterval(rounds.map(ofWithout('control'))),
    // Of the server alone: where the clients are the slower side, throughput would hide what the library costs.
    cpu: medianOf(phases, ({ cpuUs }) => cpuUs.with / cpuUs.without),
    cpuControl: medianOf(phases, ({ cpuUs }) => cpuUs.control / cpuUs.without),
    cpuUsWithout: medianOf(phases, ({ cpuUs }) => cpuUs.without),
    ofEachTrial: phases.map((phase) => medianOf(phase.rounds, ofWithout('with'))),
    withPerSecond: medianOf(rounds, (round) => round.with),
    withoutPerSecond: medianOf(rounds, (round) => round.without),
  }
}

type Measure = (bench: Bench, goals: Goals) => Promise<Target[]>

export const measureEcho: Measure = (bench, goals) => measureFlood(bench, goals.P4, 'tcp')
export const measureHttp: Measure = (bench, goals) => measureFlood(bench, goals.P4http, 'http')
export const measureFastify: Measure = (bench, goals) => measureFlood(bench, goals.P4fastify, 'fastify')
export const measureWs: Measure = (bench, goals) => measureFlood(bench, goals.P4ws, 'ws')
export const measureSocketIo: Measure = (bench, goals) => measureFlood(bench, goals.P4socketio, 'socket.io')
