/** A trial: several pairs of processes, each as large as descriptors allow, upgraded in turn and then at once. `pairs.js PARAMS` */
import assert from 'node:assert/strict'
import type { TestSupervisor } from '../../test/harness/supervisor.js'
import { type Crowd, portOf, runTrial, serverCommand, startCrowd, supervise } from './harness.js'
import { upgradeOnce } from './upgrade-once.js'

export interface PairsParams {
  pairs: number
  sessions: number
  stateBytes: number
}

export interface PairsTrial {
  sessions: number
  /** Longest pause of each pair, one upgraded after the other. */
  inTurnMs: number[]
  /** The same with all upgraded at the same time. */
  atOnceMs: number[]
}

await runTrial(async ({ pairs, sessions, stateBytes }: PairsParams): Promise<PairsTrial> => {
  const units: { supervisor: TestSupervisor; crowd: Crowd }[] = []
  for (let pair = 0; pair < pairs; pair++) {
    const supervisor = supervise(serverCommand('echo', [sessions, stateBytes, 'touch']))
    const crowd = startCrowd()
    await crowd.connect(await portOf(supervisor.child), sessions)
    assert.equal(await crowd.order('prove'), sessions)
    units.push({ supervisor, crowd })
  }
  const upgrade = async ({ supervisor }: { supervisor: TestSupervisor }): Promise<number> => {
    const { result } = await upgradeOnce(supervisor, { sessions, stateBytes })
    return result.pauseMs?.max ?? Number.NaN
  }
  const inTurn = async (): Promise<number[]> => {
    const pauses: number[] = []
    for (const unit of units) pauses.push(await upgrade(unit))
    return pauses
  }
  // A first upgrade: its successor is a server as every later one is, and warm.
  await inTurn()
  const inTurnMs = await inTurn()
  const atOnceMs = await Promise.all(units.map(upgrade))
  for (const { crowd } of units) assert.equal(await crowd.order('prove'), sessions)
  return { sessions: pairs * sessions, inTurnMs, atOnceMs }
})
