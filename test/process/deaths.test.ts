/** Processes that die or stand still at a bad moment of an upgrade. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { SupervisorStatus as Status } from '../../src/supervisor/status.js'
import { isRunning, processFact } from '../harness/census.js'
import { census, censusLike } from '../harness/fixpoint.js'
import { Load } from '../harness/load.js'
import { ask, Prober } from '../harness/prober.js'
import { Stage } from '../harness/puppet.js'
import { type Serving, serving, stream, wrongLines } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const kill = (pid: number, signal: NodeJS.Signals = 'SIGKILL'): void => void process.kill(pid, signal)
const waiting = async ({ supervisor }: Serving): Promise<number> =>
  Number((await supervisor.child.line(/^waiting pid=(\d+)$/, supervisor.child.lines.length))[1])

/** Clients of a process that is killed see that; nobody is wrong about it. */
async function cut(load: Load): Promise<void> {
  const isCut = ({ socket }: (typeof load.clients)[0]): boolean => socket.destroyed || socket.readableEnded
  await until(() => load.clients.every(isCut), 'the end of all connections')
  for (const { socket } of load.clients) socket.destroy()
}

async function goodUpgrade(t: Test, { supervisor, port }: Serving): Promise<void> {
  const load = (await Load.open(port, 20, 9_000)).start()
  await load.progress()
  const { exitCode, json } = await supervisor.upgrade('--', ...stream())
  t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { moved: 20, dropped: 0 } } })
  await load.progress()
  await load.finish()
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
}

t.test('the successor is killed while it starts', async (t) => {
  const served = await serving(t)
  const { supervisor, port, load } = served
  const before = await census(supervisor, port)
  const upgrade = supervisor.upgrade('--', ...stream('--fault', 'wait-for-signal'))
  kill(await waiting(served))
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 4)
  t.match(json, { outcome: 'failed', reasons: [{ reason: 'the successor was killed by SIGKILL before it was ready' }] })
  await load.progress()
  t.same(await censusLike(before, supervisor, port), before)
  await load.finish()
  await goodUpgrade(t, served)
})

t.test('the successor is killed when it is ready and the transfer has not begun', async (t) => {
  const served = await serving(t)
  const { supervisor, port, load } = served
  const { pid } = await ask(port)
  const upgrade = supervisor.upgrade('--', ...stream('--fault', 'wait-for-signal'))
  const successor = await waiting(served)
  // Before it begins, the predecessor is asked how it is: it answers when it goes on.
  kill(pid, 'SIGSTOP')
  kill(successor, 'SIGUSR2')
  while ((await supervisor.status()).json?.['upgrading'] !== 'transfer');
  kill(successor)
  await until(() => processFact(successor) === undefined, 'the end of the successor')
  kill(pid, 'SIGCONT')
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 4)
  t.match(json, { outcome: 'failed', reasons: [{ reason: 'the successor was killed by SIGKILL before the transfer' }] })
  t.equal(json?.reasons.length, 1)
  await load.progress()
  await load.finish()
  await goodUpgrade(t, served)
})

t.test('the predecessor is killed while the successor starts: the successor serves who comes', async (t) => {
  const served = await serving(t)
  const { supervisor, port, load } = served
  const { pid } = await ask(port)
  // Whoever asks is a session for a moment.
  const sessions = async () => ((await supervisor.status()).json as unknown as Status).generations[0]!.sessions
  while ((await sessions())?.['stream'] !== load.clients.length);
  const upgrade = supervisor.upgrade('--', ...stream('--release', '2', '--fault', 'wait-for-signal'))
  const successor = await waiting(served)
  const prober = new Prober(port).start()
  await ask(port)
  await prober.stop()
  kill(pid)
  await cut(load)
  const queued = ask(port)
  kill(successor, 'SIGUSR2')
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, { outcome: 'committed', to: { release: '2', pid: successor }, sessions: { moved: 0 } })
  const dropped = load.clients.length
  t.equal(json?.sessions.dropped, dropped)
  t.match(json?.reasons, [
    { of: 'dropped', reason: 'the predecessor was killed by SIGKILL before the transfer', count: dropped },
  ])
  t.equal(json?.reasons.length, 1, 'said once', { reasons: json?.reasons })
  t.match(await queued, { release: '2', pid: successor }, 'who came meanwhile has waited in the backlog')
  t.same(prober.refused, [])
  await goodUpgrade(t, served)
})

t.test('the predecessor is killed in the freeze, when the successor has it all: nobody notices', async (t) => {
  const served = await serving(t)
  const { supervisor, port, load } = served
  const before = await census(supervisor, port)
  const { exitCode, json } = await supervisor.upgrade('--', ...stream('--fault', 'kill-in-restore', '--times', '1'))
  t.equal(exitCode, 0)
  t.match(json, { outcome: 'committed', sessions: { moved: 30, dropped: 0, refused: 0 } })
  t.notOk(isRunning(json!.from.pid!))
  await load.progress()
  t.same(await censusLike(before, supervisor, port), before)
  await load.finish()
  t.same(wrongLines(served), [])
  await goodUpgrade(t, served)
})

t.test('the predecessor is killed in the freeze, before the successor has it all', async (t) => {
  // More than may be under way without an acknowledgement: ten parts of a megabyte.
  const served = await serving(t, { clients: 1_000, args: ['--ballast', '10000'] })
  const { supervisor, port, load } = served
  await load.progress()
  const upgrade = supervisor.upgrade('--', ...stream('--fault', 'kill-in-restore', '--times', '1'))
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 4)
  t.match(json, { outcome: 'failed', sessions: { moved: 0, dropped: 1_000, refused: 0 } })
  t.match(
    json?.reasons.find(({ of }) => of === 'dropped'),
    { reason: /predecessor was killed by SIGKILL before the transfer was complete/, count: 1_000 },
  )
  await cut(load)
  // What served before is started again, and serves who has waited.
  t.match(await ask(port), { generation: 3 })
  await goodUpgrade(t, served)
})

t.test(
  'the successor stands still in the freeze, and is continued after the deadline: never two readers',
  async (t) => {
    const served = await serving(t, { options: ['--freeze', '1s'] })
    const { supervisor, port, load } = served
    const { pid } = await ask(port)
    const upgrade = supervisor.upgrade('--', ...stream('--fault', 'stop-in-restore', '--times', '1'))
    const stopped = Number((await supervisor.child.line(/^stopped pid=(\d+)$/))[1])
    const { exitCode, json } = await upgrade
    t.equal(exitCode, 4)
    t.match(json, {
      outcome: 'failed',
      reasons: [{ reason: /did not answer in time/ }, { reason: /killed by SIGKILL/ }],
    })
    t.notOk(isRunning(stopped), 'nothing is left that could go on')
    t.equal((await ask(port)).pid, pid)
    await load.progress()
    await load.finish()
    await goodUpgrade(t, served)
  },
)

t.test('the successor stands still for some time about as long as the freeze may take', async (t) => {
  const served = await serving(t, { options: ['--freeze', '1s'] })
  const { supervisor, load } = served
  const outcomes = new Set<string>()
  for (const awakeAfterMs of [300, 985, 1_000, 1_015, 300]) {
    await load.progress()
    const from = supervisor.child.lines.length
    const upgrade = supervisor.upgrade('--', ...stream('--fault', 'stop-in-restore', '--times', '1'))
    const stopped = Number((await supervisor.child.line(/^stopped pid=(\d+)$/, from))[1])
    await until(() => ['T', 'Z', undefined].includes(processFact(stopped)?.state), 'the successor to stand still')
    // The moment is the experiment; what it leads to is waited for.
    await new Promise((resolve) => setTimeout(resolve, awakeAfterMs))
    if (isRunning(stopped)) kill(stopped, 'SIGCONT')
    const { exitCode, json } = await upgrade
    outcomes.add(json!.outcome)
    t.equal(exitCode, json?.outcome === 'committed' ? 0 : 4, `awake after ${awakeAfterMs} ms: ${json?.outcome}`)
    t.match(json?.sessions, { moved: json?.outcome === 'committed' ? 30 : 0, dropped: 0, refused: 0 })
    await load.progress()
  }
  t.ok(outcomes.has('committed'))
  await load.finish()
  t.same(wrongLines(served), [])
  await goodUpgrade(t, served)
})

t.test('the successor ends right after it has begun to serve: it is started again', async (t) => {
  const served = await serving(t)
  const { supervisor, port, load } = served
  const marker = join(supervisor.directory, 'crashed')
  const release = ['--release', '2', '--fault', 'crash-when-ready', '--once', marker]
  const { exitCode, json } = await supervisor.upgrade('--', ...stream(...release))
  t.equal(exitCode, 0, 'the upgrade was committed before that')
  t.match(json, { outcome: 'committed', sessions: { moved: 30 } })
  await cut(load)
  t.match(await ask(port), { release: '2', generation: 3 }, 'who comes is served by the next one')
  await goodUpgrade(t, served)
})

t.test(
  'the successor is killed while the predecessor drains: it is started again without waiting for that',
  async (t) => {
    const stage = await Stage.start(t)
    const held = await stage.unregistered()
    const upgrade = stage.supervisor.upgrade()
    await stage.supervisor.child.line(/"generation":2.*"msg":"serving"/)
    kill(await stage.run(({ pid }) => pid))
    await stage.supervisor.child.line(/"generation":3.*"msg":"serving"/)
    t.equal(await stage.run(({ generation }) => generation), 3)
    t.match((await stage.supervisor.status()).json, { upgrading: 'drain' })
    held.end('{"label":null,"source":"() => 1"}')
    const { exitCode, json } = await upgrade
    t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { drained: 1 } } })
    t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  },
)
