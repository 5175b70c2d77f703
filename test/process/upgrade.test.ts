/** Upgrades under load, through the command line: what the README promises first. */
import t from 'tap'
import { descriptorSorts, isRunning, listenerInode, zombiesOf } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { Oracle } from '../harness/oracle.js'
import { ask, Prober } from '../harness/prober.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(120_000))

const SERVER = compiled('test/fixtures/stream-server.js')
const CLIENTS = 1_000
const UPGRADES = 10

/** Descriptors by sort of the supervisor and of the runtime that serves. */
async function census(supervisor: TestSupervisor, port: number) {
  const { pid } = await ask(port)
  return { supervisor: descriptorSorts(supervisor.child.pid), runtime: descriptorSorts(pid) }
}

t.test(`${CLIENTS} clients, ${UPGRADES} upgrades in a row: nothing lost, nothing left behind`, async (t) => {
  const supervisor = startSupervisor(t, { command: ['node', SERVER] })
  const port = Number((await supervisor.child.line(READY))[4])
  let asked = 0
  const who = () => {
    asked += 1
    return ask(port)
  }

  // One upgrade without clients: what is there after it is what must be there after all the others.
  t.equal((await supervisor.upgrade()).exitCode, 0)
  await until(() => supervisor.processes().length === 2, 'the end of the first generation')
  asked += 1
  const before = await census(supervisor, port)
  const paths = supervisor.paths()
  const inode = listenerInode(port)
  t.type(inode, 'string')

  const load = (await Load.open(port, CLIENTS)).start()
  const slow = await Promise.all(
    [1, 2, 3, 4, 5].map((seed) =>
      Oracle.open({ port, seed: 5_000 + seed, push: 2_000_000, flood: true, paused: true }),
    ),
  )
  const midLine = await Oracle.open({ port, seed: 6_000, push: 1_000, headerBytes: 9 })
  const halfClosed = await Oracle.open({ port, seed: 6_001, push: 5_000_000, paused: true })
  halfClosed.halfClose()
  const prober = new Prober(port).start()

  let { pid: predecessor } = await who()
  const cookies = new Set<string>()
  for (let upgrade = 1; upgrade <= UPGRADES; upgrade += 1) {
    await load.progress()
    const { exitCode, json, lines } = await supervisor.upgrade()
    t.equal(exitCode, 0, `upgrade ${upgrade} ends well`, { lines })
    if (json === undefined) return
    t.match(json, { outcome: 'committed', from: { pid: predecessor }, sessions: { dropped: 0, refused: 0 } })
    t.ok(json.sessions.moved >= CLIENTS + 7, `${json.sessions.moved} sessions moved`)
    t.notOk(isRunning(predecessor), 'the old process is gone')
    predecessor = json.to.pid!
    t.equal((await who()).pid, predecessor)
    for (const { cookie } of json.listeners) cookies.add(cookie)
  }
  await load.progress()
  t.equal(cookies.size, 1, 'the same listening socket throughout, by its cookie')
  t.equal(listenerInode(port), inode, 'and by its inode')

  await prober.stop()
  t.same(prober.refused, [], 'no new connection was refused')
  t.ok(prober.generations.length > UPGRADES / 2, `generations ${prober.generations} answered ${prober.made} of them`)

  midLine.completeHeader()
  for (const client of [...slow, midLine, halfClosed]) await client.finish()
  const { bytes } = await load.finish()
  t.comment(`${bytes} bytes checked`)
  t.notOk(
    supervisor.child.lines.some((line) => line.startsWith('WRONG')),
    'nor did the servers see a wrong byte',
  )
  t.equal((await who()).connections, CLIENTS + 7 + prober.made + asked, 'shared state counted every connection once')

  // The last connection's end may still be on its way to the server.
  let after = await census(supervisor, port)
  const give = performance.now() + scaled(5_000)
  while (JSON.stringify(after) !== JSON.stringify(before) && performance.now() < give)
    after = await census(supervisor, port)
  t.same(after, before, 'no descriptor was left behind')
  t.same(
    supervisor
      .processes()
      .map(({ pid }) => pid)
      .sort(),
    [supervisor.child.pid, predecessor].sort(),
  )
  t.same(zombiesOf(supervisor.child.pid), [])
  t.same(supervisor.paths(), paths)

  const { exitCode, exit } = await supervisor.stop()
  t.equal(exitCode, 0)
  t.same(exit, { code: 0, signal: null })
  t.same(supervisor.processes(), [])
  t.same(
    supervisor.paths().filter((path) => !paths.includes(path)),
    [],
    'no new path',
  )
})

t.test('five in a row under load, from each successor, to another release and schema and back', async (t) => {
  const supervisor = startSupervisor(t, { command: ['node', SERVER] })
  const port = Number((await supervisor.child.line(READY))[4])
  const load = (await Load.open(port, 100)).start()
  for (const release of ['2', '1', '2', '1', '2']) {
    await load.progress()
    const { exitCode, json } = await supervisor.upgrade(
      '--',
      'node',
      SERVER,
      '--release',
      release,
      '--version',
      release,
    )
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', to: { release }, sessions: { moved: 100, dropped: 0, refused: 0 } })
    t.match(await ask(port), { release })
  }
  await load.progress()
  await load.finish()
  t.equal((await supervisor.stop()).exitCode, 0)
})
