/** A trial: sessions, some of them active, are upgraded under clients that check every byte. `upgrade.js PARAMS` */
import assert from 'node:assert/strict'
import type { Mode } from '../servers/echo.js'
import { clockMs } from '../session.js'
import type { Latency } from '../talk.js'
import { type Crowd, passed, portOf, runTrial, serverCommand, startCrowd, supervise } from './harness.js'
import { type Followed, transferMsOf, upgradeOnce } from './upgrade-once.js'

export interface UpgradeParams {
  sessions: number
  stateBytes: number
  active: number
  mode: Mode
  observedMs: number
  /** Another Node for the server, both generations. */
  node?: string
}

export interface UpgradeTrial {
  sessions: number
  node: string
  pauseMs: { p50: number; p99: number; max: number }
  /** Undefined when the supervisor knows nothing of independent sessions, null when none moved so. */
  followed?: Followed | null | undefined
  /** Copy to commit. */
  transferMs: number
  /** The check before it: both sides' say, and the descriptor table. */
  checkMs: number
  phases: { phase: string; durationMs: number }[]
  /** Command to committed as the supervisor sees it, less the successor's own start. */
  beyondStartMs: number
  /** Of an active client's message, before the command and during the transfer. */
  before: Latency
  during: Latency
}

/** How long after the commit a message still counts as one of the transfer: what it left undone comes back here. */
const AFTERMATH_MS = 200

await runTrial(async (params: UpgradeParams): Promise<UpgradeTrial> => {
  const { sessions, stateBytes, active, mode, observedMs, node } = params
  const supervisor = supervise(serverCommand('echo', [sessions, stateBytes, mode], node))
  const crowd = startCrowd()
  await crowd.connect(await portOf(supervisor.child), sessions, active)
  // A first upgrade: its successor is a server as every later one is, and warm.
  await upgradeOnce(supervisor, { sessions, stateBytes })
  assert.equal(await crowd.order('prove'), sessions)
  await passed(observedMs)
  const orderedAt = clockMs()
  const { result, restored } = await upgradeOnce(supervisor, { sessions, stateBytes })
  await passed(AFTERMATH_MS)
  const transfer = transferMsOf(result, 'check', 'copy', 'transfer', 'vote', 'commit')
  const during = await latency(crowd, restored.liveAtMs - transfer, restored.liveAtMs + AFTERMATH_MS)
  const before = await latency(crowd, orderedAt - observedMs, orderedAt)
  assert.equal(await crowd.order('prove'), sessions)
  // The median of no one is not 0: only the active have latencies.
  if (active > 0) assert.ok(before.count > 0 && during.count > 0)
  const { pauseMs, phases, durationMs, to } = result
  const followed = 'followed' in result ? (result.followed as Followed | null) : undefined
  return {
    sessions,
    node: to.node,
    pauseMs: pauseMs ?? { p50: 0, p99: 0, max: 0 },
    followed,
    transferMs: transferMsOf(result, 'copy', 'transfer', 'vote', 'commit'),
    checkMs: transferMsOf(result, 'check'),
    phases: [...phases],
    beyondStartMs: durationMs - transferMsOf(result, 'spawn', 'drain'),
    before,
    during,
  }
})

function latency(crowd: Crowd, from: number, to: number): Promise<Latency> {
  return crowd.order('latency', from, to)
}
