/** Sessions that move after commit: independent ones, and those that could not move at the freeze. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { isRunning } from '../harness/census.js'
import { census, censusLike } from '../harness/fixpoint.js'
import { Load } from '../harness/load.js'
import { ask } from '../harness/prober.js'
import { type Serving, serving, stream, wrongLines } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const INDEPENDENT = ['--independent']
const CLIENTS = 200
/** Of an independent kind so many move in the freeze. */
const SAMPLE = 16

const isCut = ({ socket }: Load['clients'][0]): boolean => socket.destroyed || socket.readableEnded

/** Every byte right, and nothing left behind. */
async function ends(t: Test, served: Serving): Promise<void> {
  await served.load.finish()
  t.same(wrongLines(served), [])
  t.equal((await served.supervisor.stop()).exitCode, 0)
  t.same(served.supervisor.processes(), [])
}

t.test('independent sessions follow while their clients talk; and back again', async (t) => {
  const served = await serving(t, { clients: CLIENTS, args: INDEPENDENT })
  const { supervisor, port, load } = served
  const before = await census(supervisor, port)
  for (const release of ['2', '1', '2']) {
    const { exitCode, json } = await supervisor.upgrade('--', ...stream('--release', release, ...INDEPENDENT))
    t.equal(exitCode, 0)
    t.match(json, {
      outcome: 'committed',
      sessions: { moved: CLIENTS, drained: 0, dropped: 0, refused: 0 },
      followed: { sessions: CLIENTS - SAMPLE },
      reasons: [],
    })
    t.comment(`release ${release}: pause ${JSON.stringify(json?.pauseMs)}, followed ${JSON.stringify(json?.followed)}`)
    t.match(await ask(port), { release })
    await load.progress()
    t.same(await censusLike(before, supervisor, port), before)
  }
  // Ids of new sessions do not meet those that came.
  const more = (await Load.open(port, 20, 5_000)).start()
  await more.progress()
  const { json } = await supervisor.upgrade('--', ...stream('--release', '3', ...INDEPENDENT))
  t.match(json, { outcome: 'committed', sessions: { moved: CLIENTS + 20, dropped: 0 } })
  await more.finish()
  await ends(t, served)
})

t.test('an upgrade that is asked for while sessions still follow waits for them', async (t) => {
  const served = await serving(t, { clients: CLIENTS, args: [...INDEPENDENT, '--slow', '5'] })
  const { supervisor } = served
  const whenFree = async (release: string) => {
    // Before the other one's commit it is busy.
    for (;;) {
      const { exitCode, json } = await supervisor.upgrade('--', ...stream('--release', release, ...INDEPENDENT))
      if (exitCode !== 6) return json!
    }
  }
  const results = await Promise.all([whenFree('2'), whenFree('3')])
  const [one, other] = results.sort((a, b) => a.id - b.id) as [UpgradeResult, UpgradeResult]
  const endedAt = Date.parse(one.startedAt) + one.durationMs
  t.ok(
    Date.parse(other.startedAt) < endedAt - 100,
    `the second began at ${other.startedAt}, the first took ${one.durationMs} ms`,
  )
  for (const { outcome, sessions } of [one, other])
    t.match(
      { outcome, sessions },
      { outcome: 'committed', sessions: { moved: CLIENTS, dropped: 0, drained: 0, refused: 0 } },
    )
  await ends(t, served)
})

t.test('a release that cannot restore an independent kind is refused before commit', async (t) => {
  const served = await serving(t, { clients: 40, args: INDEPENDENT })
  const { supervisor, load } = served
  const { exitCode, json } = await supervisor.upgrade('--', ...stream('--fault', 'restore', ...INDEPENDENT))
  t.equal(exitCode, 3)
  t.match(json, {
    outcome: 'refused',
    sessions: { moved: 0, dropped: 0, refused: SAMPLE },
    reasons: [{ of: 'refused', kind: 'stream', count: SAMPLE, reason: /restore throws on purpose/ }],
  })
  await load.progress()
  await ends(t, served)
})

t.test('best effort: what cannot move stays, is served, and moves when it can', async (t) => {
  const served = await serving(t, { clients: 40, options: ['--policy', 'best-effort'] })
  const { supervisor, load, port } = served
  const { pid } = await ask(port)
  const path = join(supervisor.directory, 'mended')
  const upgrade = supervisor.upgrade('--', ...stream('--release', '2', '--refuse', '4', '--until', path))
  await supervisor.child.line(/^ready release=2/)
  await load.progress()
  t.match((await supervisor.status()).json, {
    generations: [
      { state: 'draining', pid, sessions: { stream: 10 }, unregistered: 0 },
      { state: 'serving', sessions: { stream: 30 } },
    ],
  })
  writeFileSync(path, '')
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 40, drained: 0, dropped: 0, refused: 10 },
    followed: { sessions: 10 },
    reasons: [{ of: 'refused', kind: 'stream', version: 1, count: 10, reason: /refused on purpose/ }],
  })
  await load.progress()
  await ends(t, served)
})

for (const [name, args, of] of [
  ['a kind that moves at the freeze', [], 'refused'],
  ['an independent kind', INDEPENDENT, 'dropped'],
] as const) {
  t.test(`what is refused until the deadline is dropped with its reason: ${name}`, async (t) => {
    const drain = ['--drain', `${scaled(1_500)}ms`]
    const served = await serving(t, { clients: 0, args, options: ['--policy', 'best-effort', ...drain] })
    const { supervisor, port } = served
    const load = await Load.open(port, 40, 1)
    load.start()
    await load.progress()
    const upgrade = supervisor.upgrade('--', ...stream('--release', '2', '--refuse', '4', ...args))
    await supervisor.child.line(/^ready release=2/)
    const { json } = await upgrade
    t.match(json, { outcome: 'committed', sessions: { moved: 30, drained: 0, dropped: 10 } })
    t.match(json?.reasons, [
      { of: 'refused', reason: /refused on purpose/ },
      { of: 'dropped', count: 10, kind: 'stream' },
    ])
    t.match(json?.reasons.at(-1)?.reason, /^restore of stream failed: refused on purpose, and still open after \d+ ms/)
    t.ok(of)
    for (const client of load.clients) t.equal(isCut(client), client.seed % 4 === 0, `client ${client.seed}`)
    const { load: none } = served
    await none.finish()
    for (const { socket } of load.clients) socket.destroy()
    t.same(wrongLines(served), [])
  })
}

t.test('a predecessor whose capture throws keeps those sessions', async (t) => {
  const served = await serving(t, {
    clients: 20,
    args: ['--fault', 'capture', '--times', '3'],
    options: ['--policy', 'best-effort'],
  })
  const { supervisor, load } = served
  const { json } = await supervisor.upgrade('--', ...stream('--release', '2'))
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 20, dropped: 0, refused: 3 },
    followed: { sessions: 3 },
    reasons: [{ of: 'refused', kind: 'stream', count: 3, reason: /capture throws on purpose/ }],
  })
  await load.progress()
  await ends(t, served)
})

t.test('shared state that cannot be restored refuses all the same', async (t) => {
  const served = await serving(t, { clients: 5, options: ['--policy', 'best-effort'] })
  const { supervisor, load } = served
  const { exitCode, json } = await supervisor.upgrade('--', ...stream('--fault', 'restore-state'))
  t.equal(exitCode, 3)
  t.match(json, { outcome: 'refused', sessions: { moved: 0 } })
  await load.progress()
  await ends(t, served)
})

t.test(
  'the successor dies in the middle: who has not followed is served on, and the result counts the others',
  async (t) => {
    const drain = ['--drain', `${scaled(3_000)}ms`]
    const served = await serving(t, { clients: 0, args: INDEPENDENT, options: drain })
    const { supervisor, port } = served
    const load = (await Load.open(port, CLIENTS)).start()
    await load.progress()
    const { pid } = await ask(port)
    const args = [
      '--release',
      '2',
      '--fault',
      'crash-in-restore',
      '--after',
      '80',
      '--once',
      join(supervisor.directory, 'once'),
    ]
    const upgrade = supervisor.upgrade('--', ...stream(...args, ...INDEPENDENT))
    // Started again after the crash.
    await supervisor.child.line(/^ready release=2 generation=3/)
    const alive = load.clients.filter((client) => !isCut(client))
    t.ok(alive.length > 0 && alive.length < CLIENTS - SAMPLE, `${alive.length} are served on`)
    const before = alive.map(({ received }) => received)
    await Promise.all(alive.map((client, index) => client.reach(before[index]! + 1)))
    t.ok(isRunning(pid), 'by the predecessor')
    const { json } = await upgrade
    await until(() => load.clients.every(isCut), 'the end of the drain')
    t.match(json, { outcome: 'committed', sessions: { moved: CLIENTS - alive.length, dropped: CLIENTS } })
    t.match(json?.reasons, [
      { of: 'dropped', count: CLIENTS - alive.length, reason: /the successor exited with code 43 after commit/ },
      {
        of: 'dropped',
        count: alive.length,
        reason: /it had not followed when the successor closed its channel, and still open/,
      },
    ])
    for (const { socket } of load.clients) socket.destroy()
    t.same(wrongLines(served), [])
  },
)

t.test('the predecessor dies in the middle: who has followed goes on, the others are counted', async (t) => {
  const served = await serving(t, { clients: 0, args: INDEPENDENT })
  const { supervisor, port } = served
  const load = (await Load.open(port, CLIENTS)).start()
  await load.progress()
  const args = ['--release', '2', '--fault', 'kill-in-restore', '--after', '80', '--times', '1']
  const { json } = await supervisor.upgrade('--', ...stream(...args, ...INDEPENDENT))
  const cut = load.clients.filter(isCut)
  const followed = CLIENTS - SAMPLE - cut.length
  t.ok(followed > 0 && cut.length > 0, `${followed} have followed`)
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: SAMPLE + followed, dropped: cut.length },
    followed: { sessions: followed, pauseMs: null },
    reasons: [
      { of: 'dropped', count: cut.length, reason: /killed by SIGKILL: sessions that had not followed are gone/ },
    ],
  })
  const alive = load.clients.filter((client) => !isCut(client))
  const before = alive.map(({ received }) => received)
  await Promise.all(alive.map((client, index) => client.reach(before[index]! + 1)))
  for (const { socket } of load.clients) socket.destroy()
  t.same(wrongLines(served), [])
  t.equal((await supervisor.stop()).exitCode, 0)
})
