/** More than two generations: the next upgrade begins while predecessors of earlier ones drain. */
import t from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { descriptorSorts, isRunning } from '../harness/census.js'
import { runCli } from '../harness/cli.js'
import { Puppet, Stage } from '../harness/puppet.js'
import { serving, stream } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(90_000))

const DRAIN_MS = 600_000
const PATIENT = ['--drain', `${DRAIN_MS}ms`]
const statusOf = async ({ supervisor }: Stage) => (await supervisor.status()).json as unknown as SupervisorStatus
const DRAINED = { of: 'drained', reason: 'not a session: served to its end by the predecessor', count: 1 }
const ANSWERED = '{"label":null,"source":"() => 1"}'

/** Begins an upgrade; resolves when its successor serves, and gives what resolves with its result. */
async function upgradeTo(stage: Stage, generation: number, ...args: string[]) {
  const result = stage.supervisor.upgrade(...args)
  await stage.supervisor.child.line(new RegExp(`"generation":${generation}.*"msg":"serving"`))
  return { result }
}

t.test(
  'three drain at once; each upgrade ends when its own predecessor is gone, and tells its own truth',
  async (t) => {
    const stage = await Stage.start(t, { options: PATIENT })
    const before = descriptorSorts(stage.supervisor.child.pid)
    const puppet = await Puppet.open(stage)
    const held = []
    const results = []
    for (const generation of [2, 3, 4]) {
      held.push(await stage.unregistered())
      results.push((await upgradeTo(stage, generation)).result)
    }
    const status = await statusOf(stage)
    t.match(status, {
      upgrading: 'drain',
      upgrades: [1, 2, 3].map((id) => ({ id, phase: 'drain', from: id, to: id + 1 })),
      generations: [1, 2, 3]
        .map((generation): object => ({ generation, state: 'draining', unregistered: 1, sessions: { puppet: 0 } }))
        .concat([{ generation: 4, state: 'serving', drainLeftMs: null, sessions: { puppet: 1 } }]),
      lastUpgrade: null,
    })
    const left = status.generations.map(({ drainLeftMs }) => drainLeftMs ?? DRAIN_MS)
    t.ok(
      left[0]! > 0 && left.every((ms, index) => index === 0 || left[index - 1]! < ms),
      `each has its own time: ${left}`,
    )

    // The newest ends first: it stays the last upgrade when older ones end after it.
    const draining = [[], [1], [1, 2]]
    for (const index of [2, 1, 0]) {
      held[index]!.end(ANSWERED)
      const { exitCode, json } = await results[index]!
      t.match({ exitCode, json }, { exitCode: 0, json: { id: index + 1, outcome: 'committed' } })
      t.match(json?.sessions, { moved: 1, drained: 1, dropped: 0, refused: 0 })
      t.strictSame(json?.reasons, [DRAINED], 'that its successor handed over and is gone is no loss')
      t.same(
        json?.draining.map(({ generation }) => generation),
        draining[index],
      )
      for (const { leftMs } of json?.draining ?? []) t.ok(leftMs > 0 && leftMs < DRAIN_MS)
      t.notOk(isRunning(json!.from.pid!))
      t.match(await statusOf(stage), { lastUpgrade: { id: 3 }, upgrading: index === 0 ? null : 'drain' })
    }
    await puppet.serve((socket) => socket.write('alive'))
    await puppet.gets(5)
    t.strictSame((await puppet.session()).events, ['2 connect', '3 connect', '4 connect'])
    puppet.client.destroy()
    t.equal(stage.supervisor.processes().length, 2)
    await until(
      () => JSON.stringify(descriptorSorts(stage.supervisor.child.pid)) === JSON.stringify(before),
      'the descriptors there were before',
    )
  },
)

t.test('each drains until its own deadline', async (t) => {
  const drainMs = scaled(1_500)
  const stage = await Stage.start(t, { options: ['--drain', `${drainMs}ms`] })
  const ends: number[] = []
  const results = []
  for (const generation of [2, 3]) {
    const socket = await stage.unregistered()
    socket
      .on('error', () => undefined)
      .on('end', () => socket.end())
      .resume()
    const { result } = await upgradeTo(stage, generation)
    results.push(result.finally(() => ends.push(generation)))
  }
  for (const { exitCode, json } of await Promise.all(results)) {
    t.equal(exitCode, 0)
    const reason = `not a session, and still open after ${drainMs} ms of drain`
    t.match(json, { sessions: { drained: 0, dropped: 1 }, reasons: [{ of: 'dropped', count: 1, reason }] })
    const durationMs = json?.phases.find(({ phase }) => phase === 'drain')?.durationMs ?? 0
    t.ok(durationMs >= drainMs - 5 && durationMs < drainMs + scaled(1_400), `drained for ${durationMs} ms`)
  }
  t.same(ends, [2, 3])
})

t.test('while one drains and the next is before its commit, a third is refused', async (t) => {
  const { supervisor, load, port } = await serving(t, { clients: 2, args: ['--unregistered'], options: PATIENT })
  const first = supervisor.upgrade('--', ...stream())
  await supervisor.child.line(/"generation":2.*"msg":"serving"/)
  const second = supervisor.upgrade('--', ...stream('--fault', 'wait-for-signal'))
  const successor = Number((await supervisor.child.line(/^waiting pid=(\d+)$/))[1])
  const third = await supervisor.upgrade()
  t.equal(third.exitCode, 6)
  t.match(third.json, { error: { code: 'HANDOVER_BUSY', message: /^upgrade 2 is in progress \(spawn\)/ } })
  t.match((await supervisor.status()).json, {
    upgrading: 'spawn',
    upgrades: [
      { id: 1, phase: 'drain', from: 1, to: 2 },
      { id: 2, phase: 'spawn', from: 2, to: 3 },
    ],
  })
  const { stdout } = await runCli(['status', '--name', supervisor.name], supervisor.env)
  t.match(
    stdout,
    /^ {2}upgrade 1 from generation 1 to 2 is in progress \(drain\)\n {2}upgrade 2 from generation 2 to 3 .*\(spawn\)$/m,
  )
  t.match(stdout, /^ {2}1 +draining, \d[\d,.]* (s|min) left +1 .* 2$/m, 'with the time it has left')
  process.kill(successor, 'SIGUSR2')
  t.match(await second, { exitCode: 0, json: { id: 2, draining: [{ generation: 1 }] } })
  await load.progress()
  await load.finish()
  t.match(await first, { exitCode: 0, json: { id: 1, sessions: { drained: 2 } } })
  t.ok(port)
})

t.test(
  'all but who drains is killed: it is started again, upgraded again, and each result says what was lost',
  async (t) => {
    const stage = await Stage.start(t, { options: PATIENT })
    const puppet = await Puppet.open(stage)
    const held = await stage.unregistered()
    const { result } = await upgradeTo(stage, 2)
    process.kill(await stage.run(({ pid }) => pid), 'SIGKILL')
    await stage.supervisor.child.line(/"generation":3.*"msg":"serving"/)
    t.equal(await stage.run(({ generation }) => generation), 3)
    t.match((await stage.supervisor.upgrade()).json, {
      outcome: 'committed',
      from: { generation: 3 },
      sessions: { moved: 0, dropped: 0 },
      draining: [{ generation: 1 }],
    })
    const { pid } = (await statusOf(stage)).generations.find(({ state }) => state === 'draining')!
    for (const each of [pid!, await stage.run((tools) => tools.pid)]) process.kill(each, 'SIGKILL')
    held.on('error', () => undefined)
    const { exitCode, json } = await result
    t.equal(exitCode, 0)
    t.match(json, { sessions: { moved: 1, drained: 0, dropped: 2, refused: 0 } })
    t.strictSame(json?.reasons, [
      {
        of: 'dropped',
        reason: 'the predecessor was killed by SIGKILL: connections that were not sessions are gone',
        count: 1,
      },
      { of: 'dropped', reason: 'the successor was killed by SIGKILL after commit', count: 1 },
    ])
    await stage.supervisor.child.line(/"generation":5.*"msg":"serving"/)
    puppet.client.destroy()
    t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  },
)

t.test('a stop does not wait for drains: all are ended at once, and the results are true', async (t) => {
  const stage = await Stage.start(t, { options: PATIENT })
  const held = [await stage.unregistered(), await stage.unregistered()]
  const first = await upgradeTo(stage, 2)
  held.push(await stage.unregistered())
  const second = await upgradeTo(stage, 3)
  const pids = stage.supervisor.processes().map(({ pid }) => pid)
  const predecessor = (await statusOf(stage)).generations[0]!.pid!
  const sockets = descriptorSorts(predecessor)['socket']!
  held[0]!.end(ANSWERED)
  await until(() => descriptorSorts(predecessor)['socket'] === sockets - 1, 'the end of one connection')
  for (const socket of held) socket.on('error', () => undefined)
  t.match(await stage.supervisor.stop(), { exitCode: 0, exit: { code: 0, signal: null } })
  t.notOk(pids.some(isRunning), 'nobody is left')
  const reason = 'the predecessor was stopped with the supervisor: connections that were not sessions are gone'
  t.match(await first.result, {
    exitCode: 0,
    json: {
      outcome: 'committed',
      sessions: { drained: 1, dropped: 1 },
      reasons: [
        { of: 'drained', count: 1 },
        { of: 'dropped', count: 1, reason },
      ],
    },
  })
  t.match(await second.result, {
    exitCode: 0,
    json: {
      outcome: 'committed',
      sessions: { drained: 0, dropped: 1 },
      reasons: [{ of: 'dropped', count: 1, reason }],
    },
  })
  t.same(stage.supervisor.paths(), [])
})
