/** Several workers: one commit for all, whatever befalls one of them; and each is a server of its own in between. */
import t from 'tap'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { isRunning, zombiesOf } from '../harness/census.js'
import { stream } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'
import { cluster, descriptorsOf, faulty, goodUpgrade, pidsOf, servesOn } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

const WORKERS = [0, 1, 2]
const CLIENTS = 10
const ALL = WORKERS.length * CLIENTS

t.test('five upgrades in a row: all move under one commit, and nothing is left behind', async (t) => {
  const served = await cluster(t, { clients: CLIENTS })
  const first = await pidsOf(served)
  t.equal(new Set(first).size, WORKERS.length)
  let counts: Record<string, number>[] | undefined
  for (const generation of [2, 3, 4, 5, 6]) {
    await served.progress()
    const before = await pidsOf(served)
    const { exitCode, json } = await served.supervisor.upgrade()
    t.equal(exitCode, 0)
    t.match(json, {
      outcome: 'committed',
      serves: 'successor',
      from: { generation: generation - 1, pid: before[0] },
      to: { generation },
      sessions: { moved: ALL, drained: 0, dropped: 0, refused: 0 },
      reasons: [],
    })
    const after = await pidsOf(served)
    t.same(
      json?.workers.map(({ worker, outcome, serves, from, to, sessions }) => [
        worker,
        outcome,
        serves,
        from.pid,
        to.pid,
        sessions.moved,
      ]),
      WORKERS.map((worker) => [worker, 'committed', 'successor', before[worker], after[worker], CLIENTS]),
      'each to its twin',
    )
    const pauses = json?.workers.map(({ pauseMs }) => pauseMs!.max) ?? []
    t.equal(json?.pauseMs?.max, Math.max(...pauses))
    t.same(
      json?.phases.map(({ phase }) => phase),
      ['spawn', 'check', 'copy', 'transfer', 'vote', 'agree', 'commit', 'drain'],
    )
    t.notOk(before.some(isRunning))
    t.equal(served.supervisor.processes().length, 1 + WORKERS.length)
    t.equal(zombiesOf(served.supervisor.child.pid).length, 0)
    await served.progress()
    counts ??= await descriptorsOf(served)
    t.same(await descriptorsOf(served), counts, 'the same descriptors')
  }
  await served.finish()
  t.match(await served.supervisor.stop(), { exitCode: 0, exit: { code: 0 } })
  t.same(served.supervisor.processes(), [])
  t.same(served.supervisor.paths(), [])
})

t.test('one of three fails, and none moves; the next upgrade is good', async (t) => {
  const served = await cluster(t, { clients: CLIENTS })
  const { supervisor } = served
  const pids = await pidsOf(served)
  const counts = await descriptorsOf(served)
  const cases: { name: string; args: string[]; outcome: UpgradeResult['outcome']; reason: object }[] = [
    {
      name: 'it ends before it is ready',
      args: faulty(1, 'crash-joined'),
      outcome: 'failed',
      reason: { of: 'upgrade', reason: 'the successor exited with code 42 before it was ready' },
    },
    {
      name: 'it refuses a session',
      args: faulty(1, 'restore'),
      outcome: 'refused',
      reason: { of: 'refused', kind: 'stream', version: 1, reason: /restore throws on purpose/, count: CLIENTS },
    },
    {
      name: 'it refuses the shared state',
      args: faulty(1, 'restore-state'),
      outcome: 'refused',
      reason: { of: 'refused', kind: 'totals', reason: /throws on purpose/ },
    },
    {
      name: 'it ends in the freeze',
      args: faulty(1, 'crash-in-restore'),
      outcome: 'failed',
      reason: { of: 'upgrade', reason: /the successor closed its channel/ },
    },
    {
      name: 'it hangs in the freeze',
      args: faulty(1, 'hang-in-restore'),
      outcome: 'failed',
      reason: { of: 'upgrade', reason: /the successor did not answer in time/ },
    },
  ]
  for (const { name, args, outcome, reason } of cases) {
    await t.test(name, async (t) => {
      const { exitCode, json } = await supervisor.upgrade(...args)
      t.equal(exitCode, outcome === 'refused' ? 3 : 4)
      t.match(json, { outcome, serves: 'predecessor', sessions: { moved: 0, drained: 0, dropped: 0 } })
      t.match(json?.reasons[0], { ...reason, workers: [1] })
      t.ok(
        json?.reasons.every(({ workers }) => workers?.join() === '1'),
        `the others have no reasons of their own: ${JSON.stringify(json?.reasons)}`,
      )
      t.same(
        json?.workers.map(({ outcome: own, serves }) => [own, serves]),
        WORKERS.map(() => [outcome, 'predecessor']),
      )
      await servesOn(t, served, pids)
      t.equal(supervisor.processes().length, 1 + WORKERS.length)
      t.same(await descriptorsOf(served), counts)
    })
  }
  await t.test('all refuse: each is counted', async (t) => {
    const { exitCode, json } = await supervisor.upgrade('--', ...stream('--kind', 'other'))
    t.equal(exitCode, 3)
    t.match(json, {
      outcome: 'refused',
      sessions: { refused: ALL },
      reasons: [{ of: 'refused', kind: 'stream', count: ALL, workers: WORKERS }],
    })
    await servesOn(t, served, pids)
  })
  await goodUpgrade(t, served)
  await served.finish()
})
