/** What a supervisor tells runtimes, and makes of what they say: both sides here speak by hand (test/fixtures/bare-runtime.ts). */
import t from 'tap'
import { compiled } from '../harness/child.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const bare = (...args: string[]): string[] => ['node', compiled('test/fixtures/bare-runtime.js'), ...args]
const SERVING = /"generation":1.*"msg":"serving"/

t.test('policy, copy and what follows it reach both sides; an upgrade may have its own', async (t) => {
  const options = [
    '--copy',
    '7s',
    '--policy',
    'best-effort',
    '--unsettled',
    'refuse',
    '--freeze',
    '3s',
    '--drain',
    '9s',
  ]
  const supervisor = startSupervisor(t, { command: bare(), options })
  await supervisor.child.line(SERVING)
  const given = { checkMs: 10_000, freezeMs: 3_000, drainMs: 9_000, copyMs: 7_000 }
  for (const { args, policy, unsettled } of [
    { args: [], policy: 'best-effort', unsettled: 'refuse' },
    { args: ['--policy', 'all-or-nothing'], policy: 'all-or-nothing', unsettled: 'refuse' },
    { args: ['--unsettled', 'freeze'], policy: 'best-effort', unsettled: 'freeze' },
    { args: [], policy: 'best-effort', unsettled: 'refuse' },
  ]) {
    const from = supervisor.child.lines.length
    t.equal((await supervisor.upgrade(...args)).exitCode, 0)
    for (const side of ['predecessor', 'successor']) {
      const [, said] = await supervisor.child.line(new RegExp(`^transfer release=1 (.*"side":"${side}".*)`), from)
      t.strictSame(JSON.parse(said!), { side, ...given, policy, unsettled }, args.join(' '))
    }
  }
})

t.test('reasons of a commit are in the result: of a kind as refused sessions, others of the upgrade', async (t) => {
  const reasons = [
    { reason: 'cannot be captured', count: 2, kind: 'chat', version: 1 },
    { reason: 'the copy did not settle', count: 1 },
  ]
  const supervisor = startSupervisor(t, { command: bare('--committed', JSON.stringify(reasons)) })
  await supervisor.child.line(SERVING)
  const { exitCode, json } = await supervisor.upgrade('--', ...bare())
  t.equal(exitCode, 0)
  t.match(json, { outcome: 'committed', sessions: { moved: 7, drained: 3, dropped: 0, refused: 2 }, draining: [] })
  t.strictSame(json?.reasons, [
    { of: 'refused', ...reasons[0] },
    { of: 'upgrade', ...reasons[1] },
    { of: 'drained', reason: 'drained', count: 3 },
  ])
})

t.test('handed over, and the taker is gone: nobody serves, and that is not waited out by the drain', async (t) => {
  const supervisor = startSupervisor(t, { command: bare('--drains'), options: ['--drain', '600s'] })
  await supervisor.child.line(SERVING)
  const lost = supervisor.upgrade('--', ...bare('--successor', 'exit', '--release', '2'))
  await supervisor.child.line(/"generation":2,"reason":"exited with code 47","delayMs":100/)
  await supervisor.child.line(/"generation":3.*"release":"1".*"msg":"serving"/)
  t.match((await supervisor.status()).json, {
    upgrades: [{ id: 1, phase: 'drain', from: 1, to: 2 }],
    generations: [
      { generation: 1, state: 'draining', drainLeftMs: Number, unregistered: 3 },
      { generation: 3, state: 'serving', drainLeftMs: null },
    ],
  })
  const next = supervisor.upgrade('--', ...bare('--release', '3'))
  await supervisor.child.line(/"generation":4.*"msg":"serving"/)
  t.equal((await supervisor.stop()).exitCode, 0)
  t.match((await next).json, { outcome: 'committed', from: { generation: 3 }, draining: [{ generation: 1 }] })
  const { exitCode, json } = await lost
  t.equal(exitCode, 4)
  t.match(json, { outcome: 'failed', serves: 'nobody', sessions: { moved: 0, drained: 0, dropped: 10 } })
  t.strictSame(json?.reasons.map(({ of, reason, count }) => [of, count, reason]).sort(), [
    ['dropped', 3, 'the predecessor was stopped with the supervisor: connections that were not sessions are gone'],
    ['dropped', 7, 'the successor exited with code 47 after commit'],
  ])
})

t.test(
  'a successor that serves, and then the predecessor of one that refuses: its word is not of the first upgrade',
  async (t) => {
    const supervisor = startSupervisor(t, { command: bare('--drains'), options: ['--drain', '600s'] })
    await supervisor.child.line(SERVING)
    const first = supervisor.upgrade('--', ...bare('--release', '2', '--refuse'))
    await supervisor.child.line(/"generation":2.*"msg":"serving"/)
    const second = await supervisor.upgrade('--', ...bare('--release', '3', '--successor', 'nothing'))
    t.equal(second.exitCode, 3)
    t.match(second.json, {
      id: 2,
      outcome: 'refused',
      reasons: [{ reason: 'it refuses' }],
      draining: [{ generation: 1 }],
    })
    t.match((await supervisor.status()).json, { upgrading: 'drain', lastUpgrade: { id: 2 } })
    t.equal((await supervisor.stop()).exitCode, 0)
    const { exitCode, json } = await first
    t.equal(exitCode, 0)
    t.match(json, { id: 1, outcome: 'committed', sessions: { moved: 7, drained: 0, dropped: 3, refused: 0 } })
    t.equal(json?.reasons.length, 1)
  },
)

t.test(
  'workers of a version that knows nothing of groups: each is taken over by itself, and the result says so',
  async (t) => {
    const supervisor = startSupervisor(t, { command: bare(), options: ['--workers', '2'] })
    for (const worker of [0, 1]) await supervisor.child.line(new RegExp(`"worker":${worker}.*"msg":"serving"`))
    const { exitCode, json } = await supervisor.upgrade('--', ...bare('--release', '2'))
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', serves: 'successor', sessions: { moved: 14, drained: 6 } })
    t.match(json?.reasons[0], {
      of: 'upgrade',
      reason: /^the predecessor knows nothing of groups/,
      count: 2,
      workers: [0, 1],
    })
    const said = supervisor.child.lines.filter((line) => /^transfer release=1 .*"predecessor"/.test(line))
    t.equal(said.length, 2)
    t.notOk(
      said.some((line) => line.includes('"group"')),
      'nor are they told of one',
    )
    const shrink = await supervisor.upgrade('--workers', '1')
    t.equal(shrink.exitCode, 3)
    t.match(shrink.json?.reasons[0]?.reason, /^worker 1 is one too many, and cannot go: its version of handover/)
  },
)
