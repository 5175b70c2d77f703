/** The goals of the project, as numbers. */
import type { Plan } from '../plan.js'
import { RATE } from '../plan.js'
import type { Goal } from '../verdict.js'

type Row = readonly [what: string, unit: string, at: Goal['at'], limit: number, against: string]

export type GoalName = keyof ReturnType<typeof rows>

function rows(plan: Plan) {
  const { sessions, active, stateBytes, counts, pairs, large } = plan
  const number = (value: number): string => value.toLocaleString('en-US')
  const crowd = `${number(sessions)} sessions of ${number(stateBytes)} bytes, ${active} of them active at ${RATE} messages a second`
  const idle = `${number(sessions)} idle sessions of ${number(stateBytes)} bytes`
  const bulk = `${number(large.sessions)} sessions of ${number(large.stateBytes)} bytes`
  const both = 'predecessor before + successor after'
  const all = '`process.send(socket)`, all at once, in the same round'
  const best = '`process.send(socket)`, 64 outstanding, in the same round'
  const plain = 'the same server without the library'
  const major = Number(process.versions.node.split('.')[0])
  return {
    P1: ['pause p99, all moved at one instant', 'ms', 'most', 10, crowd],
    P1max: ['pause max, all moved at one instant', 'ms', 'most', 20, crowd],
    P1ratio: ["total of process.send / handover's pause p99", 'ratio', 'least', 200, all],
    P1i: ['pause p99, independent sessions', 'ms', 'most', 2, crowd],
    P1ilatency: ['worst client latency during / before, independent', 'ratio', 'most', 1.2, crowd],
    P2: ['whole transfer, copy to commit', 'sessions/s', 'least', major >= 24 ? 150_000 : 100_000, idle],
    P2node24: ['whole transfer, server on Node 24', 'sessions/s', 'least', 150_000, idle],
    P2all: ["whole transfer / process.send's", 'ratio', 'least', 40, all],
    P2best: ["whole transfer / process.send's", 'ratio', 'least', 10, best],
    P3: ['pause for each clean session', 'µs', 'most', 0.3, `${counts.map(number).join(', ')} in one process`],
    P3pairs: [
      'pause for each clean session, several pairs',
      'µs',
      'most',
      0.3,
      `${number(pairs.count * pairs.sessions)} in ${pairs.count} pairs, upgraded in turn, against as many small pairs`,
    ],
    P4: ['throughput of a TCP echo, with / without', 'ratio', 'least', 0.99, plain],
    P4http: ['throughput of HTTP, with / without', 'ratio', 'least', 0.99, plain],
    P4fastify: ['throughput of fastify, with / without', 'ratio', 'least', 0.99, plain],
    P4ws: ['throughput of a WebSocket echo, with / without', 'ratio', 'least', 0.99, plain],
    P4socketio: ['throughput of Socket.IO events, with / without', 'ratio', 'least', 0.99, plain],
    P5: ['peak memory of both', 'ratio', 'most', 1.1, `${both}; ${crowd}`],
    P5large: ['peak memory of both, large state', 'ratio', 'most', 1.1, `${both}; ${bulk}`],
    P5i: ['peak memory of both, independent', 'ratio', 'most', 1.4, `predecessor before; ${crowd}`],
    P5ilarge: ['peak memory of both, independent, large state', 'ratio', 'most', 1.4, `predecessor before; ${bulk}`],
    P6: ["command to committed, beyond the successor's start", 's', 'most', 0.3, crowd],
  } as const satisfies Record<string, Row>
}

export type Goals = Readonly<Record<GoalName, Goal>>

export function goalsOf(plan: Plan): Goals {
  const entries = Object.entries(rows(plan)).map(([name, [what, unit, at, limit, against]]) => [
    name,
    { name, what, unit, at, limit, against },
  ])
  return Object.fromEntries(entries) as Goals
}
