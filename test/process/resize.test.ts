/** Upgrades that change the number of workers: sessions are spread over new ones, and go to others from those that go. */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { adminSocketPath } from '../../src/supervisor/directory.js'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { isRunning, zombiesOf } from '../harness/census.js'
import { runCli } from '../harness/cli.js'
import type { Load } from '../harness/load.js'
import { stream } from '../harness/stream.js'
import type { TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'
import { cluster, descriptorsOf, pidsOf } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

const WITHOUT_STATE = stream('--no-state')
const CLIENTS = 30

t.test('2, 3, 1, 2: nobody is lost, and each has its share', async (t) => {
  const served = await cluster(t, { workers: 2, clients: CLIENTS, args: ['--no-state'] })
  const { supervisor } = served
  const total = 2 * CLIENTS
  const countsOf = async () => (await served.serving()).map(({ sessions }) => sessions?.['stream'])
  const resize = async (workers: number) => {
    const before = await pidsOf(served)
    await served.progress()
    const { exitCode, json } = await supervisor.upgrade('--workers', String(workers), '--', ...WITHOUT_STATE)
    t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', serves: 'successor', reasons: [] } })
    t.match(json?.sessions, { moved: total, drained: 0, dropped: 0, refused: 0 })
    await served.progress()
    const rows = await served.serving()
    t.same(
      rows.map(({ worker }) => worker),
      Array.from({ length: workers }, (_, index) => index),
    )
    t.notOk(before.some(isRunning), 'those before are gone')
    t.equal(supervisor.processes().length, 1 + workers)
    t.equal(zombiesOf(supervisor.child.pid).length, 0)
    return json!
  }

  const grown = await resize(3)
  t.equal(grown.spread.sessions, 20)
  t.ok(grown.spread.pauseMs !== null && grown.spread.pauseMs.max < 1_000)
  t.same(await countsOf(), [20, 20, 20])
  t.match(grown.workers, [{ worker: 0 }, { worker: 1 }, { worker: 2, outcome: 'committed', sessions: { moved: 0 } }])

  const shrunk = await resize(1)
  t.same(await countsOf(), [total])
  t.match(shrunk.workers, [
    { worker: 0, sessions: { moved: 20 }, followed: { sessions: 0 } },
    { worker: 1, outcome: 'committed', sessions: { moved: 20 }, followed: { sessions: 20 } },
    { worker: 2, outcome: 'committed', sessions: { moved: 20 }, followed: { sessions: 20 } },
  ])
  t.equal(shrunk.workers[1]?.to.pid, shrunk.workers[0]?.to.pid, 'it took from all')
  const counts = await descriptorsOf(served)

  await resize(2)
  t.same(await countsOf(), [CLIENTS, CLIENTS])
  await resize(1)
  t.same(await descriptorsOf(served), counts, 'the same descriptors as with one before')

  const plain = await supervisor.upgrade()
  t.match(plain, { exitCode: 0, json: { outcome: 'committed', workers: [{ worker: 0 }] } })
  t.equal(plain.json?.workers.length, 1, 'the number stays in force')
  await served.finish()
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
})

t.test('a worker with shared state cannot go: refused before anything moves', async (t) => {
  const served = await cluster(t, { workers: 2, clients: 5 })
  const pids = await pidsOf(served)
  const { exitCode, json } = await served.supervisor.upgrade('--workers', '1', '--', ...stream())
  t.equal(exitCode, 3)
  t.match(json, { outcome: 'refused', serves: 'predecessor', sessions: { moved: 0 } })
  t.match(json?.reasons[0]?.reason, /^worker 1 is one too many, and cannot go: it has shared state \(totals\)/)
  t.same(await pidsOf(served), pids)
  await served.progress()
  const grown = await served.supervisor.upgrade('--workers', '3')
  t.match(grown, { exitCode: 0, json: { spread: { sessions: 3 } } }, 'more of them is no matter')
  const { stdout } = await runCli(['status', '--name', served.supervisor.name], served.supervisor.env)
  t.match(stdout, /^ {2}worker +generation +state /m)
  t.match(stdout, /^ {2}2 +3 +serving /m)
  t.match(stdout, /spread +3 to new workers, pause p50 /)
  await served.finish()
})

t.test('an upgrade that fails changes nothing of the number', async (t) => {
  const served = await cluster(t, { workers: 2, clients: 5, args: ['--no-state'] })
  const pids = await pidsOf(served)
  for (const workers of ['1', '3']) {
    const failing = stream('--no-state', '--fault', 'restore', '--fault-worker', '0')
    const { exitCode, json } = await served.supervisor.upgrade('--workers', workers, '--', ...failing)
    t.equal(exitCode, 3)
    t.match(json, { outcome: 'refused', serves: 'predecessor' })
    t.same(await pidsOf(served), pids)
    await served.progress()
  }
  t.equal(served.supervisor.processes().length, 3)
  await served.finish()
})

/** Asked of the admin socket itself: by the time a command has started, all may have gone. */
async function statusOf({ name, directory }: TestSupervisor): Promise<SupervisorStatus> {
  const socket = connect(adminSocketPath(name, { XDG_RUNTIME_DIR: directory }))
  socket.write('{"verb":"status"}\n')
  for await (const line of createInterface({ input: socket })) {
    socket.destroy()
    return (JSON.parse(line) as { result: SupervisorStatus }).result
  }
  throw new Error('the supervisor did not answer')
}

/** Two workers become one; the one that goes needs its time for each session, and something happens when some have gone. */
async function whileOneGoes(t: Test, drain: string, happens: (giver: number, taker: number) => void) {
  const slow = ['--no-state', '--slow', '30']
  const served = await cluster(t, { workers: 2, clients: CLIENTS, args: slow, options: ['--drain', drain] })
  const upgrade = served.supervisor.upgrade('--workers', '1', '--', ...stream(...slow))
  let isOver = false
  void upgrade.then(() => (isOver = true))
  for (;;) {
    if (isOver) throw new Error('the upgrade was over before some had gone, and others not')
    const { generations } = await statusOf(served.supervisor)
    const giver = generations.find(({ worker, state }) => worker === 1 && state === 'draining')
    const taker = generations.find(({ generation, worker }) => generation === 2 && worker === 0)
    const left = giver?.sessions?.['stream'] ?? 0
    if (left === 0 || left === CLIENTS || taker === undefined) continue
    happens(giver!.pid!, taker.pid!)
    break
  }
  const result = await upgrade
  return { served, ...result }
}

const alive = ({ clients }: Load): number =>
  clients.filter(({ socket }) => !socket.destroyed && !socket.readableEnded).length

t.test('the one that goes is killed when some have gone: who has moved lives, who has not is counted', async (t) => {
  const { served, exitCode, json } = await whileOneGoes(t, '60s', (giver) => process.kill(giver, 'SIGKILL'))
  t.equal(exitCode, 0)
  const [stays, goes] = json!.workers
  t.match(stays, { outcome: 'committed', sessions: { moved: CLIENTS, dropped: 0 } })
  const { moved, dropped } = goes!.sessions
  t.ok(moved > 0 && dropped > 0, `${moved} moved, ${dropped} dropped`)
  t.equal(moved + dropped, CLIENTS)
  const lost = served.loads.splice(1, 1)[0] as Load
  await until(
    () => alive(lost) === moved,
    () => `${moved} of its clients to be served, not ${alive(lost)}`,
  )
  for (const { socket } of lost.clients) socket.destroy()
  await served.progress()
  t.equal((await served.serving()).length, 1, 'it is not started again')
  await served.finish()
})

t.test('the one that takes is killed when some have gone: the rest is served until the drain is over', async (t) => {
  const drain = `${scaled(1_000)}ms`
  const { served, exitCode, json } = await whileOneGoes(t, drain, (_, taker) => process.kill(taker, 'SIGKILL'))
  t.equal(exitCode, 0)
  const { moved, dropped } = json!.workers[1]!.sessions
  t.ok(moved > 0 && moved < CLIENTS, `${moved} had moved`)
  t.equal(dropped, CLIENTS, 'all are gone, with the one or the other')
  t.ok(json?.reasons.some(({ reason }) => /^the worker that took them was killed by SIGKILL/.test(reason)))
  for (const { clients } of served.loads.splice(0)) for (const { socket } of clients) socket.destroy()
  await served.supervisor.child.line(/"generation":3.*"msg":"serving"/)
  const fresh = await served.loadOn(0, 5)
  t.match(await served.supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: 5 } } })
  await fresh.progress()
  await served.finish()
})
