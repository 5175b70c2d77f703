import t from 'tap'
import { formatResult } from '../../src/cli/format.js'
import type { UpgradeResult } from '../../src/supervisor/result.js'

const side = { generation: 1, release: 'chat@1.0.0', node: '24.1.0', pid: 7 }
const pauseMs = { p50: 1, p99: 2, max: 3 }
const result = {
  id: 1,
  outcome: 'committed',
  serves: 'successor',
  draining: [],
  startedAt: '',
  durationMs: 1,
  from: side,
  to: side,
  sessions: { moved: 1_200, drained: 0, dropped: 1, refused: 1 },
  followed: { sessions: 1_184, pauseMs },
  reasons: [
    { of: 'refused', reason: 'restore failed', count: 1, kind: 'chat', version: 2 },
    { of: 'dropped', reason: 'restore failed, and still open', count: 1, kind: 'chat', version: 2 },
  ],
  pauseMs: null,
  phases: [],
  listeners: [],
} as unknown as UpgradeResult

t.test('what followed after commit is a row of its own', async (t) => {
  const lines = formatResult(result).split('\n')
  t.ok(lines.includes('  followed  1,184 after commit, pause p50 1.0 ms, p99 2.0 ms, max 3.0 ms'), lines.join('\n'))
  t.ok(lines.includes('  reasons   refused (chat version 2): restore failed'))
  const none = formatResult({ ...result, followed: { sessions: 0, pauseMs: null } })
  t.notOk(none.includes('followed'))
})
