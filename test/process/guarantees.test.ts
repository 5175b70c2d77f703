/** The README's guarantees, a test for each, by its name. The many ways in which each could break are tested beside this. */
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'handover'
import t, { type Test } from 'tap'
import { descriptorSorts, isRunning, processesMarked, zombiesOf } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { Oracle } from '../harness/oracle.js'
import { ask } from '../harness/prober.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(120_000))

const SERVER = compiled('test/fixtures/stream-server.js')
const FAULTS = ['crash', 'crash-joined', 'crash-in-restore', 'restore', 'hang-in-restore'] as const
const CLIENTS = 50
/** Sockets of a runtime beside its sessions: stdout, stderr, the control channel, the listener, and where it is found again. */
const OWN_SOCKETS = 5

async function serving(t: Test): Promise<{ supervisor: TestSupervisor; port: number; load: Load }> {
  const supervisor = startSupervisor(t, { options: ['--freeze', '1s'], command: ['node', SERVER] })
  const port = Number((await supervisor.child.line(READY))[4])
  return { supervisor, port, load: (await Load.open(port, CLIENTS)).start() }
}

const faulty = (supervisor: TestSupervisor, fault: string) => supervisor.upgrade('--', 'node', SERVER, '--fault', fault)

t.test('Nothing is given up before it is taken over', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const { pid } = await ask(port)
  for (const fault of FAULTS) {
    await load.progress()
    const { exitCode, json } = await faulty(supervisor, fault)
    t.equal(exitCode, fault === 'restore' ? 3 : 4, fault)
    t.match(json, { sessions: { moved: 0, dropped: 0 } })
    t.equal((await ask(port)).pid, pid, 'the predecessor serves on')
    await load.progress()
  }
  await load.finish()
})

t.test('One reader', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const slow = await Oracle.open({ port, seed: 1_000, push: 5_000_000, flood: true, paused: true })
  const half = await Oracle.open({ port, seed: 1_001, push: 1_000, headerBytes: 9 })
  for (let upgrade = 1; upgrade <= 3; upgrade++) {
    await load.progress()
    t.equal((await supervisor.upgrade()).exitCode, 0)
  }
  half.completeHeader()
  // Throws at the first byte that is lost, doubled or out of order, in either direction.
  for (const client of [slow, half]) await client.finish()
  t.ok((await load.finish()).bytes > 0)
  t.notOk(
    supervisor.child.lines.some((line) => line.startsWith('WRONG')),
    'nor did a server see a wrong byte',
  )
})

t.test('Either side may die', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const before = await ask(port)
  t.equal((await faulty(supervisor, 'crash-in-restore')).exitCode, 4, 'the successor, before it is active')
  t.equal((await ask(port)).pid, before.pid)
  await load.progress()

  await supervisor.child.kill('SIGKILL')
  await load.progress()
  t.equal((await ask(port)).pid, before.pid, 'the supervisor: the runtime serves on, and accepts')
  await load.finish()
})

t.test('The truth is told', async (t) => {
  const { supervisor, load } = await serving(t)
  const refused = await faulty(supervisor, 'restore')
  t.equal(refused.exitCode, 3)
  t.match(refused.json, {
    outcome: 'refused',
    sessions: { moved: 0 },
    reasons: [{ of: 'refused', kind: 'stream', version: 1, reason: /restore throws on purpose/ }],
  })
  const failed = await faulty(supervisor, 'crash')
  t.equal(failed.exitCode, 4)
  t.match(failed.json, {
    outcome: 'failed',
    reasons: [{ of: 'upgrade', reason: /exited with code 41 before it was ready/ }],
  })
  const { exitCode, json } = await supervisor.upgrade()
  t.equal(exitCode, 0)
  t.match(json, { outcome: 'committed', sessions: { moved: CLIENTS, drained: 0, dropped: 0, refused: 0 }, reasons: [] })
  t.ok(
    json !== undefined &&
      json.pauseMs !== null &&
      json.pauseMs.p50 <= json.pauseMs.max &&
      json.pauseMs.max < json.durationMs,
  )
  t.same(
    json?.phases.map(({ phase }) => phase),
    ['spawn', 'check', 'copy', 'transfer', 'vote', 'commit', 'drain'],
  )
  await load.finish()
})

t.test('A failed upgrade leaves a system in which the next good one works', async (t) => {
  const { supervisor, port, load } = await serving(t)
  for (const fault of FAULTS) {
    const { pid } = await ask(port)
    t.not((await faulty(supervisor, fault)).exitCode, 0, fault)
    const { exitCode, json } = await supervisor.upgrade('--', 'node', SERVER)
    t.equal(exitCode, 0, `the next one after ${fault}`)
    t.equal(json?.sessions.moved, CLIENTS)
    t.notOk(isRunning(pid))
    await load.progress()
  }
  await load.finish()
})

t.test('Nothing is left behind', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const upgrade = async () => {
    t.equal((await supervisor.upgrade()).exitCode, 0)
    await load.progress()
    const { pid } = await ask(port)
    // The end of the connection that asked may still be on its way.
    await until(
      () => descriptorSorts(pid)['socket'] === CLIENTS + OWN_SOCKETS,
      () => `the sessions' sockets alone: ${JSON.stringify(descriptorSorts(pid))}`,
    )
    return {
      runtime: descriptorSorts(pid),
      supervisor: descriptorSorts(supervisor.child.pid),
      paths: supervisor.paths(),
    }
  }
  const first = await upgrade()
  for (const fault of ['restore', 'crash-in-restore']) await faulty(supervisor, fault)
  await supervisor.upgrade('--', 'node', SERVER)
  await upgrade()
  t.same(await upgrade(), first, 'after refused, failed and good ones the same descriptors and paths')
  t.equal(supervisor.processes().length, 2, 'a supervisor and a runtime')
  t.same(zombiesOf(supervisor.child.pid), [])
  await load.finish()
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(processesMarked(`HANDOVER_TEST_MARK=${supervisor.env['HANDOVER_TEST_MARK']}`), [])
  t.same(supervisor.paths(), [], 'no path')
})

t.test('No cost in between', async (t) => {
  const runtime = await join()
  const kind = runtime.sessions<object>('cost', { version: 1, capture: () => ({}), restore: () => ({}) })
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accept = async () => {
    const accepted = once(server, 'connection')
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
    const [socket] = (await accepted) as [net.Socket]
    return { client, socket }
  }
  const [plain, session] = [await accept(), await accept()]
  kind.open(session.socket, {})
  const shape = ({ socket }: { socket: net.Socket }) => ({
    listeners: Object.fromEntries(socket.eventNames().map((name) => [name, socket.listenerCount(name)])),
    own: Object.getOwnPropertyNames(socket),
    methods: [socket.write, socket.read, socket.push, socket.emit, socket.on, socket._write, socket._read],
    handle: [Object.getOwnPropertyNames(handleOf(socket)), Object.getPrototypeOf(handleOf(socket))],
  })
  const [before, after] = [shape(plain), shape(session)]
  t.equal(
    after.listeners['close'],
    (before.listeners['close'] ?? 0) + 1,
    'one listener more, for the end of the session',
  )
  t.same({ ...after.listeners, close: 0 }, { ...before.listeners, close: 0 }, 'and none on what goes in and out')
  t.same(after.own, before.own)
  t.same(
    after.methods,
    before.methods,
    'it reads and writes by the very functions any socket does: no tap, no proxy, no copy',
  )
  t.same(after.handle, before.handle)
  for (const { client, socket } of [plain, session]) for (const end of [client, socket]) end.destroy()
  server.close()
})

const handleOf = (socket: net.Socket): object => (socket as unknown as { _handle: object })._handle
