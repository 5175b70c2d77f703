/**
 * A trial: the same server without and with the library, and without once more, all up, flooded in turn by the same clients:
 * what slows the machine for a moment slows neighbours alike. `flood.js PARAMS`
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type Child, startChild } from '../../test/harness/child.js'
import type { WireName } from '../protocols.js'
import { portOf, runTrial, type ServerFile, serverCommand, startCrowd, supervise, t } from './harness.js'

const SIDES = ['without', 'with', 'control'] as const
type Side = (typeof SIDES)[number]

/** What is measured: which server, what its clients speak, and what moves its connections. */
export const SUBJECTS = {
  tcp: { file: 'echo', wire: 'tcp', joined: 'touch' },
  http: { file: 'http', wire: 'http', joined: 'moved' },
  fastify: { file: 'fastify', wire: 'http', joined: 'moved' },
  ws: { file: 'ws', wire: 'ws', joined: 'moved' },
  'socket.io': { file: 'socket-io', wire: 'socket.io', joined: 'moved' },
} as const satisfies Record<string, { file: ServerFile; wire: WireName; joined: string }>
export type SubjectName = keyof typeof SUBJECTS

export interface FloodParams {
  subject: SubjectName
  connections: number
  rounds: number
  ms: number
}

/** `control` is a second server without the library: how far it is from the first is what the machine adds. */
export type FloodRound = Record<Side, number>

export interface FloodPhase {
  /** Answers a second. */
  rounds: FloodRound[]
  /** The servers' own processor time for each answer, in microseconds. */
  cpuUs: FloodRound
}

/** Of connections the server accepted itself, and of the same after an upgrade, in the server that was handed them. */
export interface FloodTrial {
  fresh: FloodPhase
  upgraded: FloodPhase
}

const CLOCK_TICKS = 100
/** A successor is a new process: it is compiled no sooner than the servers it is held against were. */
const WARM_ROUNDS = 16

await runTrial(async ({ subject, connections, rounds, ms }: FloodParams): Promise<FloodTrial> => {
  const { file, wire, joined } = SUBJECTS[subject]
  const command = (isJoined: boolean): string[] => {
    const mode = isJoined ? joined : 'plain'
    return serverCommand(file, file === 'echo' ? [connections, 1024, mode] : [connections, mode])
  }
  const [node, ...args] = command(false)
  const [plain, control] = [startChild(t, node!, args), startChild(t, node!, args)]
  const supervisor = supervise(command(true))
  const ports = {
    without: await portOf(plain),
    with: await portOf(supervisor.child),
    control: await portOf(control),
  }
  const pids = { without: plain.pid, with: runtimePid(supervisor.child), control: control.pid }
  const crowd = startCrowd()
  const groups = { without: 0, with: 1, control: 2 }
  for (const side of SIDES) await crowd.connect(ports[side], connections, 0, wire)

  const measure = async (): Promise<FloodPhase> => {
    const [spent, answers] = [zero(), zero()]
    const flood = async (side: Side): Promise<number> => {
      const before = cpuSeconds(pids[side])
      const rate = await crowd.order<number>('flood', groups[side], ms)
      spent[side] += cpuSeconds(pids[side]) - before
      answers[side] += (rate * ms) / 1000
      return rate
    }
    // Warm first: the compiler of either server is not what is compared.
    for (let round = 0; round < WARM_ROUNDS; round++) for (const side of SIDES) await flood(side)
    for (const side of SIDES) [spent[side], answers[side]] = [0, 0]
    const figures: FloodRound[] = []
    for (let round = 0; round < rounds; round++) {
      const figure = zero()
      // Each comes after each of the others as often.
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) figure[side] = await flood(side)
      // A machine that gives nobody a turn for so long has measured nothing.
      if (SIDES.every((side) => figure[side] > 0)) figures.push(figure)
    }
    assert.ok(figures.length > rounds / 2, `${figures.length} of ${rounds} rounds had answers`)
    const cpu = (side: Side): number => (spent[side] / answers[side]) * 1e6
    return { rounds: figures, cpuUs: { without: cpu('without'), with: cpu('with'), control: cpu('control') } }
  }

  const fresh = await measure()
  const { exitCode, json } = await supervisor.upgrade()
  assert.equal(exitCode, 0, JSON.stringify(json))
  // Of Socket.IO there is one more, which is the program's own.
  assert.ok(json !== undefined && json.sessions.moved >= connections, JSON.stringify(json))
  assert.equal(json.sessions.drained + json.sessions.dropped, 0, JSON.stringify(json))
  pids.with = runtimePid(supervisor.child)
  const upgraded = await measure()
  return { fresh, upgraded }
})

function zero(): FloodRound {
  return { without: 0, with: 0, control: 0 }
}

/** The server's process, not its supervisor's: the last that started. */
function runtimePid(supervised: Child): number {
  return Number(supervised.lines.flatMap((line) => /^started (\d+)$/.exec(line)?.[1] ?? []).at(-1))
}

/** User and system, from proc(5). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
}
