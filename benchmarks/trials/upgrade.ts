/** A trial: sessions, some of them active, are upgraded under clients that check every byte. `upgrade.js PARAMS` */
import assert from 'node:assert/strict'
import type { Mode } from '../servers/echo.js'
import { clockMs } from '../session.js'
import type { Latency } from '../talk.js'
import { type Crowd, passed, portOf, runTrial, serverCommand, startCrowd, supervise } from './harness.js'
import { type Followed, followedOf, transferMsOf, upgradeOnce } from './upgrade-once.js'

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
  followed?: Followed | undefined
  /** Copy to commit. */
  transferMs: number
  /** The check before it: both sides' say, and the descriptor table. */
  checkMs: number
  phases: { phase: string; durationMs: number }[]
  /** Command to committed as the supervisor sees it, less the successor's own start. */
  beyondStartMs: number
  /** Of an active client's message, before the command and during the transfer, or until the last session has followed. */
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
  // A connection is made before the server has accepted it, and made its session.
  assert.equal(await crowd.order('prove'), sessions)
  // A first upgrade: its successor is a server as every later one is, and warm.
  await upgradeOnce(supervisor, { sessions, stateBytes })
  assert.equal(await crowd.order('prove'), sessions)
  await passed(observedMs)
  const orderedAt = clockMs()
  const { result, liveAtMs } = await upgradeOnce(supervisor, { sessions, stateBytes })
  // The command ends when the predecessor has: by then every session has followed.
  const lastAtMs = mode === 'independent' ? clockMs() : liveAtMs
  await passed(AFTERMATH_MS)
  const firstAtMs = liveAtMs - transferMsOf(result, 'check', 'copy', 'transfer', 'vote', 'commit')
  const during = await latency(crowd, firstAtMs, lastAtMs + AFTERMATH_MS)
  const before = await latency(crowd, orderedAt - observedMs, orderedAt)
  assert.equal(await crowd.order('prove'), sessions)
  // The median of no one is not 0: only the active have latencies.
  if (active > 0) assert.ok(before.count > 0 && during.count > 0)
  const { pauseMs, phases, durationMs, to } = result
  return {
    sessions,
    node: to.node,
    pauseMs: pauseMs ?? { p50: 0, p99: 0, max: 0 },
    followed: followedOf(result),
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
