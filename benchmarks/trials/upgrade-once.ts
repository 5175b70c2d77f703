/** One upgrade, and the proof that it moved what it says. */
import assert from 'node:assert/strict'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import type { TestSupervisor } from '../../test/harness/supervisor.js'
import { WITHIN_MS } from './harness.js'

/** Sessions that moved batch by batch after commit, as the supervisor will report them. */
export interface Followed {
  sessions: number
  pauseMs: { p50: number; p99: number; max: number } | null
}

export interface Upgraded {
  result: UpgradeResult
  /** The successor's. */
  pid: number
  /** When it served, in milliseconds of CLOCK_MONOTONIC. */
  liveAtMs: number
}

/** Every session, with every byte of its state, is in another process: by the supervisor's word and by the successor's. */
export async function upgradeOnce(
  supervisor: TestSupervisor,
  { sessions, stateBytes }: { sessions: number; stateBytes: number },
): Promise<Upgraded> {
  const { exitCode, json: result, lines } = await supervisor.upgrade()
  assert.ok(result !== undefined, lines.join(' '))
  const reasons = result.reasons.map(({ reason }) => reason).join('; ')
  assert.equal(exitCode, 0, `the upgrade ${result.outcome}: ${reasons}`)
  assert.equal(result.sessions.moved, sessions)
  assert.equal(result.sessions.dropped + result.sessions.refused, 0)
  assert.notEqual(result.to.pid, result.from.pid)
  const pid = result.to.pid!
  const said = await supervisor.child.line(new RegExp(`^restored (.*"pid":${pid}\\b.*)$`), 0, WITHIN_MS)
  assert.deepEqual(JSON.parse(said[1]!), { pid, sessions, bytes: sessions * stateBytes })
  const live = await supervisor.child.line(new RegExp(`^live ${pid} (.*)$`), 0, WITHIN_MS)
  return { result, pid, liveAtMs: Number(live[1]) }
}

/** Undefined when the supervisor knows nothing of independent sessions. */
export function followedOf(result: UpgradeResult): Followed | undefined {
  return 'followed' in result ? (result.followed as Followed) : undefined
}

export function transferMsOf({ phases }: UpgradeResult, ...names: string[]): number {
  return phases.reduce((sum, { phase, durationMs }) => sum + (names.includes(phase) ? durationMs : 0), 0)
}
