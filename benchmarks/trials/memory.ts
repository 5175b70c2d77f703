/** A trial: what predecessor and successor hold together, before, during and after an upgrade. `memory.js PARAMS` */
import assert from 'node:assert/strict'
import { type Child, startNode } from '../../test/harness/child.js'
import type { Mode } from '../servers/echo.js'
import { passed, portOf, runTrial, serverCommand, startCrowd, supervise, t } from './harness.js'
import type { PhaseMemory } from './sampler.js'
import { type Followed, followedOf, upgradeOnce } from './upgrade-once.js'

export interface MemoryParams {
  sessions: number
  stateBytes: number
  active: number
  mode: Mode
}

export interface MemoryTrial {
  /** The first process, which was handed nothing: what the sessions take by themselves. */
  firstMb: number
  beforeMb: number
  afterMb: number
  /** Of both at one instant. */
  peakMb: number
  followed?: Followed | undefined
  detail: { samples: number; gapMs: number; atPeakMb: number[]; sharedMb: number }
}

/** How long what stands still is looked at; its middle counts. */
const STEADY_MS = 500

await runTrial(async ({ sessions, stateBytes, active, mode }: MemoryParams): Promise<MemoryTrial> => {
  const supervisor = supervise(serverCommand('echo', [sessions, stateBytes, mode]))
  const sampler = startNode(t, 'benchmarks/trials/sampler.js')
  const crowd = startCrowd()
  await crowd.connect(await portOf(supervisor.child), sessions, active)
  // A connection is made before the server has accepted it, and made its state.
  assert.equal(await crowd.order('prove'), sessions)
  const [, started] = await supervisor.child.line(/^started (\d+)$/)
  sampler.write(`watch ${started}\nphase first\n`)
  await passed(STEADY_MS)
  sampler.write('phase upgrade\n')
  // The one measured is a successor itself, as every later predecessor is.
  const predecessor = await upgradeOnce(supervisor, { sessions, stateBytes })
  assert.equal(await crowd.order('prove'), sessions)

  sampler.write(`watch ${predecessor.pid}\nphase before\n`)
  await passed(STEADY_MS)
  sampler.write('phase transfer\n')
  const from = supervisor.child.lines.length
  // From its first line on, before it has joined, the successor is watched.
  const watched = supervisor.child.line(/^started (\d+)$/, from).then(([, pid]) => sampler.write(`watch ${pid}\n`))
  const { result, pid: successor } = await upgradeOnce(supervisor, { sessions, stateBytes })
  await watched
  // The predecessor has ended by now: the command waits for it.
  sampler.write('phase after\n')
  await passed(STEADY_MS)
  const { first, before, transfer, after } = await report(sampler)
  assert.equal(await crowd.order('prove'), sessions)

  const [beforeMb, afterMb] = [before.medianMb[predecessor.pid], after.medianMb[successor]]
  const firstMb = first.medianMb[Number(started)]
  assert.ok(beforeMb !== undefined && afterMb !== undefined && firstMb !== undefined)
  assert.deepEqual(Object.keys(transfer.medianMb).length, 2)
  return {
    firstMb,
    beforeMb,
    afterMb,
    peakMb: transfer.peakMb,
    followed: followedOf(result),
    detail: {
      samples: transfer.samples,
      gapMs: transfer.gapMs,
      atPeakMb: Object.values(transfer.atPeakMb),
      sharedMb: transfer.sharedPeakMb - before.sharedPeakMb,
    },
  }
})

async function report(sampler: Child): Promise<Record<'first' | 'before' | 'transfer' | 'after', PhaseMemory>> {
  sampler.write('report\n')
  return JSON.parse((await sampler.line(/^answer (.*)$/))[1]!)
}
