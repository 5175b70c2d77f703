/** `--worker N`: one goes to the new release before the others. */
import t from 'tap'
import { stream } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'
import { type Cluster, cluster, descriptorsOf, faulty, goodUpgrade, pidsOf } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 10
const release = (name: string, ...args: string[]) => ['--', ...stream('--release', name, ...args)]

/** Worker by worker. */
const releasesOf = async ({ serving }: Cluster): Promise<string[]> => (await serving()).map(({ release }) => release)

t.test('one goes first, is started again as what it is, and the others follow', async (t) => {
  const served = await cluster(t, { clients: CLIENTS })
  const { supervisor } = served
  const before = await pidsOf(served)
  const { exitCode, json } = await supervisor.upgrade('--worker', '1', ...release('2', '--version', '2'))
  t.equal(exitCode, 0)
  t.match(json, {
    outcome: 'committed',
    serves: 'successor',
    to: { release: '2', generation: 2 },
    sessions: { moved: CLIENTS, drained: 0, dropped: 0, refused: 0 },
  })
  t.same(
    json?.workers.map(({ worker, outcome }) => [worker, outcome]),
    [[1, 'committed']],
  )
  t.same(await releasesOf(served), ['1', '2', '1'])
  const after = await pidsOf(served)
  t.same([after[0], after[2]], [before[0], before[2]], 'the others are who they were')
  await served.progress()

  t.equal((await supervisor.upgrade('--worker', '1', ...faulty(1, 'restore'))).exitCode, 3)
  t.same(await releasesOf(served), ['1', '2', '1'], 'refused, it serves on')
  await served.progress()

  // Its clients end with it; those of the others do not notice.
  await served.loads.splice(1, 1)[0]!.finish()
  const from = supervisor.child.lines.length
  process.kill(after[1]!, 'SIGKILL')
  await supervisor.child.line(/"worker":1.*"msg":"serving"/, from)
  t.same(await releasesOf(served), ['1', '2', '1'], 'started again, it is of its own release')
  await served.progress()

  const all = await supervisor.upgrade(...release('2', '--version', '2'))
  t.match(all.json, { outcome: 'committed', sessions: { moved: 2 * CLIENTS, dropped: 0, refused: 0 } })
  t.same(await releasesOf(served), ['2', '2', '2'])
  await goodUpgrade(t, served)
  await served.finish()
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})

t.test('on probation: only that one goes back', async (t) => {
  const served = await cluster(t, { clients: CLIENTS })
  const { supervisor } = served
  const before = await pidsOf(served)
  const [descriptors] = await descriptorsOf(served)
  await served.loads.splice(2, 1)[0]!.finish()
  const upgrade = supervisor.start('upgrade', '--worker', '2', '--probation', '1h', ...release('2'))
  const [, , , pid] = await supervisor.child.line(/^ready release=(2) generation=(2) pid=(\d+)/)
  while (!((await supervisor.status()).json as { probation?: object | null }).probation) t.notOk(upgrade.hasExited)
  // A crash of another is none of its.
  const from = supervisor.child.lines.length
  await served.loads.shift()!.finish()
  process.kill(before[0]!, 'SIGKILL')
  await supervisor.child.line(/"worker":0.*"msg":"serving"/, from)
  t.same(await releasesOf(served), ['1', '1', '2'])
  process.kill(Number(pid), 'SIGKILL')
  t.equal((await upgrade.closed).code, 8)
  t.match(JSON.parse(upgrade.lines.at(-1)!), {
    probation: {
      verdict: 'undone',
      reason: /^generation 2 was killed by SIGKILL$/,
      undo: { workers: [{ worker: 2 }] },
    },
  })
  t.same(await releasesOf(served), ['1', '1', '1'])
  t.equal((await pidsOf(served))[1], before[1])
  await served.progress()
  await served.finish()
  t.same((await descriptorsOf(served))[0], descriptors, 'the supervisor has what it had')
})

t.test('a worker that is not there', async (t) => {
  const { supervisor } = await cluster(t, { workers: 2, clients: 0 })
  for (const args of [
    ['--worker', '2'],
    ['--worker', '-1'],
    ['--worker', 'one'],
    ['--worker', '0', '--workers', '3'],
  ])
    t.equal((await supervisor.upgrade(...args)).exitCode, 2, args.join(' '))
})
