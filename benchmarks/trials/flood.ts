/**
 * A trial: the same server without and with the library, both up, flooded in turn by the same clients: what slows the machine
 * for a moment slows neighbours alike. `flood.js PARAMS`
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type Child, startChild } from '../../test/harness/child.js'
import type { ProtocolName } from '../protocols.js'
import { portOf, runTrial, serverCommand, startCrowd, supervise, t } from './harness.js'

export interface FloodParams {
  protocol: ProtocolName
  connections: number
  rounds: number
  ms: number
}

export interface FloodRound {
  without: number
  with: number
}

export interface FloodTrial {
  /** Answers a second. */
  rounds: FloodRound[]
  /** The servers' own processor time for each answer, in microseconds. */
  cpuUs: FloodRound
}

const CLOCK_TICKS = 100

await runTrial(async ({ protocol, connections, rounds, ms }: FloodParams): Promise<FloodTrial> => {
  const command = (isJoined: boolean): string[] =>
    protocol === 'tcp'
      ? serverCommand('echo', [connections, 1024, isJoined ? 'touch' : 'plain'])
      : serverCommand('http', [connections, isJoined ? 'joined' : 'plain'])
  const [node, ...args] = command(false)
  const plain = startChild(t, node!, args)
  const supervisor = supervise(command(true))
  const pids = { without: plain.pid, with: await runtimePid(supervisor.child) }
  const crowd = startCrowd()
  for (const server of [plain, supervisor.child]) await crowd.connect(await portOf(server), connections, 0, protocol)

  const side = { without: 0, with: 1 }
  const spent = { without: 0, with: 0 }
  const answers = { without: 0, with: 0 }
  const flood = async (which: 'without' | 'with', isMeasured = true): Promise<number> => {
    const before = cpuSeconds(pids[which])
    const rate = await crowd.order<number>('flood', side[which], ms)
    assert.ok(rate > 0)
    if (isMeasured) {
      spent[which] += cpuSeconds(pids[which]) - before
      answers[which] += (rate * ms) / 1000
    }
    return rate
  }
  // Warm first: the compiler of either server is not what is compared.
  for (let round = 0; round < 2; round++) for (const which of ['without', 'with'] as const) await flood(which, false)
  const figures: FloodRound[] = []
  for (let round = 0; round < rounds; round++) {
    // Each is first as often as the other.
    const order = round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)
    const figure = { without: 0, with: 0 }
    for (const which of order) figure[which] = await flood(which)
    figures.push(figure)
  }
  const cpu = (which: 'without' | 'with'): number => (spent[which] / answers[which]) * 1e6
  return { rounds: figures, cpuUs: { without: cpu('without'), with: cpu('with') } }
})

/** The server's process, not its supervisor's. */
async function runtimePid(supervised: Child): Promise<number> {
  return Number((await supervised.line(/^started (\d+)$/))[1])
}

/** User and system, from proc(5). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
}
