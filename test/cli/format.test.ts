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
  workers: [{ worker: 0 }],
  spread: { sessions: 0, pauseMs: null },
} as unknown as UpgradeResult

t.test('what followed after commit is a row of its own', async (t) => {
  const lines = formatResult(result).split('\n')
  t.ok(lines.includes('  followed  1,184 after commit, pause p50 1.0 ms, p99 2.0 ms, max 3.0 ms'), lines.join('\n'))
  t.ok(lines.includes('  reasons   refused (chat version 2): restore failed'))
  const none = formatResult({ ...result, followed: { sessions: 0, pauseMs: null } })
  t.notOk(none.includes('followed'))
})

t.test('several workers: a row for each, and whose a reason is', async (t) => {
  const row = {
    outcome: 'committed',
    serves: 'successor',
    from: side,
    to: { ...side, pid: 8 },
    sessions: result.sessions,
    pauseMs,
  }
  const workers = [
    { ...row, worker: 0 },
    { ...row, worker: 1, outcome: 'failed', serves: 'predecessor', sessions: { ...result.sessions, moved: 0 } },
    { ...row, worker: 2, serves: 'nobody', pauseMs: null },
  ] as unknown as UpgradeResult['workers']
  const reasons = [{ of: 'upgrade', reason: 'it exited', count: 2, workers: [1, 2] }] as const
  const lines = formatResult({ ...result, serves: 'both', workers, reasons }).split('\n')
  t.match(lines[0], /^upgrade 1 committed; some workers serve the new release, some the old \(/)
  for (const line of [
    '  worker 0  committed, the successor serves, pid 8, 1,200 moved, longest pause 3.0 ms',
    '  worker 1  failed, the predecessor serves, pid 7, longest pause 3.0 ms',
    '  worker 2  committed, nobody serves, 1,200 moved',
    '  reasons   upgrade ×2 (worker 1, 2): it exited',
  ])
    t.ok(lines.includes(line), `${line}\n${lines.join('\n')}`)
})
