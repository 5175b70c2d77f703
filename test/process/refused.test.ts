/** Upgrades that end before commit, one after the other on one supervisor under load: the predecessor serves on, with all of it. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { isRunning } from '../harness/census.js'
import { census, censusLike } from '../harness/fixpoint.js'
import { ask } from '../harness/prober.js'
import { type Serving, serving, stream, wrongLines } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 30
const FREEZE_MS = 1_000

/** Stands for a port somebody else listens on. */
const TAKEN = 'TAKEN'

interface Case {
  readonly name: string
  /** What `handover upgrade` is given. */
  readonly args: readonly string[]
  readonly reasons: readonly object[]
  readonly to?: object
  /** There may be other reasons. */
  readonly more?: true
}

const successor = (...args: string[]): string[] => ['--', ...stream(...args)]
const all = { of: 'refused', count: CLIENTS, kind: 'stream', version: 1 }

const REFUSED: readonly Case[] = [
  {
    name: 'the successor does not know the session kind',
    args: successor('--kind', 'other'),
    reasons: [{ ...all, reason: 'the successor does not declare session kind "stream"' }],
  },
  {
    name: 'the successor reads other versions of it',
    args: successor('--version', '2', '--no-migrations'),
    reasons: [{ ...all, reason: /^the predecessor writes version 1 of session kind "stream", the successor reads 2$/ }],
  },
  {
    name: 'the successor does not know a shared state',
    args: successor('--state', 'other'),
    reasons: [{ of: 'refused', kind: 'totals', version: 1, reason: /does not declare shared state "totals"/ }],
  },
  {
    name: 'the successor reads another version of it',
    args: successor('--state-version', '2'),
    reasons: [{ of: 'refused', kind: 'totals', version: 1, reason: /writes version 1 of .* "totals".* reads 2/ }],
  },
  {
    name: 'two things at once: both are named',
    args: successor('--state', 'other', '--kind', 'other'),
    reasons: [{ kind: 'stream' }, { kind: 'totals' }],
  },
  {
    name: 'restore throws for each session',
    args: successor('--fault', 'restore'),
    reasons: [{ ...all, reason: /restore of stream failed: restore throws on purpose/ }],
  },
  {
    name: 'restore throws for one session',
    args: successor('--fault', 'restore', '--times', '1'),
    reasons: [{ ...all, count: 1, reason: /restore throws on purpose/ }],
  },
  {
    name: 'restore returns a promise',
    args: successor('--fault', 'promise-in-restore'),
    reasons: [{ ...all, reason: /it returned a promise; restore is synchronous/ }],
  },
  {
    name: 'restore of the shared state throws',
    args: successor('--fault', 'restore-state'),
    reasons: [{ of: 'refused', kind: 'totals', version: 1, count: 1, reason: /of the state throws on purpose/ }],
  },
]

const FAILED: readonly Case[] = [
  { name: 'crash at start', args: successor('--fault', 'crash'), reasons: [{ reason: /exited with code 41 before/ }] },
  {
    name: 'crash after join',
    args: successor('--fault', 'crash-joined'),
    reasons: [{ reason: /exited with code 42 before/ }],
  },
  {
    name: 'end right after it said that it is ready',
    args: successor('--fault', 'exit-after-ready'),
    // Seen at the channel or at the process first.
    reasons: [{ reason: /^the successor (exited with code 45|closed its channel)/ }],
    more: true,
  },
  {
    name: 'crash in restore',
    args: successor('--fault', 'crash-in-restore'),
    reasons: [{ reason: /successor closed its channel/ }, { reason: /exited with code 43/ }],
  },
  {
    name: 'hang in restore',
    args: successor('--fault', 'hang-in-restore'),
    reasons: [{ reason: /did not answer in time \(phase vote\)/ }, { reason: 'the successor was killed by SIGKILL' }],
  },
  {
    name: 'never ready',
    args: successor('--fault', 'never-ready'),
    reasons: [{ reason: /was not ready within \d+ ms: it must call join\(\) and await ready\(\)/ }],
  },
  {
    name: 'a program that never joins',
    args: ['--', 'node', '-e', 'setInterval(() => undefined, 1000)'],
    reasons: [{ reason: /was not ready within/ }],
    to: { node: '' },
  },
  {
    name: 'a program that ends',
    args: ['--', 'true'],
    reasons: [{ reason: /exited with code 0 before it was ready/ }],
  },
  {
    name: 'a command that is not there',
    args: ['--', 'no-such-command-anywhere'],
    reasons: [{ reason: /ENOENT/ }],
    to: { pid: null, node: '' },
  },
  {
    name: 'a Node that is not there',
    args: ['--node', '/nowhere/node', '--', 'node', 'x.js'],
    reasons: [{ reason: /ENOENT/ }],
  },
  {
    name: 'a Node that is none',
    args: ['--node', '/etc/passwd', '--', 'node', 'x.js'],
    reasons: [{ reason: /EACCES/ }],
  },
  {
    name: 'a listener that cannot be had',
    args: successor('--extra-port', TAKEN),
    reasons: [{ reason: /exited with code 1 before it was ready/ }],
  },
]

async function stays(
  t: Test,
  served: Serving,
  each: Case,
  expected: { exitCode: number; outcome: string },
): Promise<void> {
  const { supervisor, port, load } = served
  await load.progress()
  const before = await census(supervisor, port)
  const { pid, generation } = await ask(port)
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const taken = String((other.address() as AddressInfo).port)
  const { exitCode, json } = await supervisor.upgrade(...each.args.map((word) => (word === TAKEN ? taken : word)))
  other.close()
  t.equal(exitCode, expected.exitCode)
  t.match(json, {
    outcome: expected.outcome,
    from: { pid, generation },
    sessions: { moved: 0, drained: 0, dropped: 0 },
    reasons: each.reasons,
    ...(each.to === undefined ? {} : { to: each.to }),
  })
  if (!each.more) t.equal(json?.reasons.length, each.reasons.length, 'no other reasons', { reasons: json?.reasons })
  t.equal(
    json?.sessions.refused,
    json?.reasons.reduce((sum, { of, count }) => sum + (of === 'refused' ? count : 0), 0),
  )
  if (json?.to.pid) t.notOk(isRunning(json.to.pid), 'the successor is gone')
  t.match(await ask(port), { pid, generation }, 'the predecessor serves on')
  await load.progress()
  t.same(await censusLike(before, supervisor, port), before, 'nothing is left behind')
}

async function isGood(t: Test, { supervisor, load }: Serving, ...args: string[]): Promise<void> {
  const { exitCode, json } = await supervisor.upgrade(...successor(...args))
  t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { moved: CLIENTS, dropped: 0 } } })
  await load.progress()
}

for (const { outcome, exitCode, cases } of [
  { outcome: 'refused', exitCode: 3, cases: REFUSED },
  { outcome: 'failed', exitCode: 4, cases: FAILED },
]) {
  t.test(outcome, async (t) => {
    const options = ['--freeze', `${FREEZE_MS}ms`, '--ready-timeout', `${scaled(5_000)}ms`]
    const served = await serving(t, { clients: CLIENTS, options })
    for (const each of cases) await t.test(each.name, (t) => stays(t, served, each, { outcome, exitCode }))
    await isGood(t, served)
    await served.load.finish()
    t.same(wrongLines(served), [])
    t.equal((await served.supervisor.stop()).exitCode, 0)
  })
}

t.test('capture throws', async (t) => {
  const served = await serving(t, { clients: CLIENTS, args: ['--fault', 'capture', '--times', '1'] })
  const reason = { of: 'refused', kind: 'stream', version: 1, count: 1, reason: /capture throws on purpose/ }
  await stays(t, served, { name: '', args: successor(), reasons: [reason] }, { outcome: 'refused', exitCode: 3 })
  await isGood(t, served)
  await served.load.finish()
})

t.test('a hang in restore is a pause as long as the freeze may take, and no longer', async (t) => {
  const served = await serving(t, { clients: CLIENTS, options: ['--freeze', `${FREEZE_MS}ms`] })
  const { json } = await served.supervisor.upgrade(...successor('--fault', 'hang-in-restore'))
  const pauseMs = json?.pauseMs?.max ?? 0
  t.ok(pauseMs >= FREEZE_MS && pauseMs < FREEZE_MS + scaled(3_000), `paused for ${pauseMs} ms`)
  await served.load.progress()
  await isGood(t, served)
  await served.load.finish()
})

t.test('a listener named anew by a successor that is not taken is closed again', async (t) => {
  const served = await serving(t, { clients: CLIENTS })
  const { supervisor, port } = served
  const before = await census(supervisor, port)
  const names = async () =>
    ((await supervisor.status()).json!['listeners'] as { name: string }[]).map(({ name }) => name)
  t.equal((await supervisor.upgrade(...successor('--extra-port', '0', '--fault', 'restore'))).exitCode, 3)
  t.same(await names(), ['stream'])
  t.same(await censusLike(before, supervisor, port), before, 'the supervisor keeps no descriptor of it')
  await isGood(t, served, '--extra-port', '0')
  t.same(await names(), ['stream', 'extra'])
  await isGood(t, served)
  t.same(await names(), ['stream'], 'and one that the next release does not name is closed at commit')
  t.same(await censusLike(before, supervisor, port), before)
  await served.load.finish()
})
