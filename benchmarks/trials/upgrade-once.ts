/** One upgrade, and the proof that it moved what it says. */
import assert from 'node:assert/strict'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import type { TestSupervisor } from '../../test/harness/supervisor.js'
import type { Restored } from '../servers/server.js'
import { WITHIN_MS } from './harness.js'

/** Sessions that moved batch by batch, as the supervisor will report them. */
export interface Followed {
  sessions: number
  pauseMs: { p50: number; p99: number; max: number } | null
}

export interface Upgraded {
  result: UpgradeResult
  restored: Restored
}

/** Every session, with every byte of its state, is in another process: by the supervisor's word and by the successor's. */
export async function upgradeOnce(
  supervisor: TestSupervisor,
  { sessions, stateBytes }: { sessions: number; stateBytes: number },
): Promise<Upgraded> {
  const { exitCode, json: result, lines } = await supervisor.upgrade()
  assert.equal(exitCode, 0, lines.join('\n'))
  assert.ok(result !== undefined)
  assert.equal(result.sessions.moved, sessions)
  assert.equal(result.sessions.dropped + result.sessions.refused, 0)
  assert.notEqual(result.to.pid, result.from.pid)
  const said = await supervisor.child.line(new RegExp(`^restored (.*"pid":${result.to.pid}\\b.*)$`), 0, WITHIN_MS)
  const restored = JSON.parse(said[1]!) as Restored
  assert.equal(restored.sessions, sessions)
  assert.equal(restored.bytes, sessions * stateBytes)
  return { result, restored }
}

export function transferMsOf({ phases }: UpgradeResult, ...names: string[]): number {
  return phases.reduce((sum, { phase, durationMs }) => sum + (names.includes(phase) ? durationMs : 0), 0)
}
