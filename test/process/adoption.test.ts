/** A supervisor is killed, and another one of its name goes on with what it has left. */

import t from 'tap'
import { descriptorSorts, isRunning, listenerInode } from '../harness/census.js'
import { settled } from '../harness/fixpoint.js'
import { ask, Prober } from '../harness/prober.js'
import { PUPPET_SERVER, Stage } from '../harness/puppet.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { endsInOrder, statusOf, succeed } from '../harness/succession.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'
import { cluster, pidsOf } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

t.test('killed while all is quiet: no connection notices, and the next supervisor knows everything', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  t.equal((await first.upgrade('--', ...stream('--release', '2'))).exitCode, 0)
  const before = await statusOf(first)
  const pid = before.generations[0]!.pid!
  const inode = listenerInode(port)
  const sorts = descriptorSorts(pid)
  const prober = new Prober(port).start()
  const second = await succeed(t, first)
  await load.progress()
  await prober.stop()
  t.same(prober.refused, [], 'no connection was refused')
  const now = await statusOf(second)
  t.match(now, {
    pid: second.child.pid,
    workers: 1,
    upgrading: null,
    generations: [{ generation: 2, release: '2', pid, state: 'serving', joins: true, sessions: { stream: 30 } }],
    listeners: before.listeners,
  })
  t.same(now.lastUpgrade, before.lastUpgrade, 'the last upgrade is known')
  t.equal((await ask(port)).pid, pid)
  t.equal(listenerInode(port), inode, 'the same listening socket')
  t.same(await settled(sorts, async () => descriptorSorts(pid)), sorts, 'the runtime has no descriptor more')
  const { exitCode, json } = await second.upgrade()
  t.equal(exitCode, 0)
  t.match(json, {
    id: before.lastUpgrade!.id + 1,
    outcome: 'committed',
    from: { generation: 2, release: '2', pid },
    to: { generation: 3, release: '2' },
    sessions: { moved: 30, dropped: 0 },
  })
  t.notOk(isRunning(pid))
  t.equal(listenerInode(port), inode, 'the successor has the same one')
  await load.progress()
  await load.finish()
  t.same(wrongLines({ supervisor: second, port, load }), [])
  await endsInOrder(t, second)
})

t.test('three supervisors are killed one after the other, the last while it begins', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  const { pid } = await ask(port)
  const second = await succeed(t, first)
  const third = await succeed(t, second)
  await third.child.kill('SIGKILL')
  const fourth = startSupervisor(t, { after: third, command: stream() })
  await fourth.child.line(/supervisor started/)
  const fifth = await succeed(t, fourth)
  await load.progress()
  t.match(await statusOf(fifth), { generations: [{ generation: 1, pid, state: 'serving' }] })
  t.match(await fifth.upgrade(), { exitCode: 0, json: { from: { pid }, sessions: { moved: 30 } } })
  await load.progress()
  await load.finish()
  await endsInOrder(t, fifth)
})

t.test('behind a wrapper, and after a crash of what was adopted: it is started again', async (t) => {
  const {
    supervisor: first,
    port,
    load,
  } = await serving(t, {
    wrapper: ['/bin/sh', '-c', '"$@"; exit $?', 'sh'],
  })
  const { pid } = await ask(port)
  const second = await succeed(t, first)
  await load.progress()
  t.match(await statusOf(second), { generations: [{ generation: 1, pid, state: 'serving' }] })
  await load.finish()
  process.kill(pid, 'SIGKILL')
  const crash = /"generation":1,"reason":"has ended \(how is not known: [^"]+\)","delayMs":100/
  await second.child.line(crash)
  await second.child.line(/"generation":2.*"msg":"serving"/)
  t.match(await ask(port), { generation: 2 }, 'on the same port')
  await endsInOrder(t, second)
})

t.test('a predecessor that drains is drained on, and ended at its end', async (t) => {
  const stage = await Stage.start(t)
  const held = await stage.unregistered()
  const { supervisor: first } = stage
  first.start('upgrade')
  await first.child.line(/"generation":2.*"msg":"serving"/)
  const draining = (await statusOf(first)).generations.find(({ state }) => state === 'draining')!
  const second = await succeed(t, first, { command: ['node', PUPPET_SERVER] })
  const rows = (await statusOf(second)).generations
  t.match(
    rows.toSorted((a, b) => a.generation - b.generation),
    [
      { generation: 1, pid: draining.pid, state: 'draining', unregistered: 1 },
      { generation: 2, state: 'serving' },
    ],
  )
  const leftMs = rows[0]!.drainLeftMs!
  t.ok(leftMs > 0 && leftMs <= draining.drainLeftMs!, `its deadline stays: ${leftMs} of ${draining.drainLeftMs}`)
  t.match((await statusOf(second)).lastUpgrade, {
    id: 1,
    outcome: 'committed',
    serves: 'successor',
    to: { generation: 2 },
    reasons: [{ reason: /the supervisor ended before the upgrade did/ }],
  })
  held.destroy()
  await until(() => !isRunning(draining.pid!), 'the end of the predecessor')
  t.match(await second.upgrade(), { exitCode: 0, json: { id: 2, from: { generation: 2 } } })
  await endsInOrder(t, second)
})

t.test('several workers, of which one has gone before the others', async (t) => {
  const served = await cluster(t, { workers: 3, clients: 5 })
  const { supervisor: first } = served
  t.equal((await first.upgrade('--worker', '1', '--', ...stream('--release', '2'))).exitCode, 0)
  const pids = await pidsOf(served)
  await first.child.kill('SIGKILL')
  process.kill(pids[2]!, 'SIGKILL')
  await until(() => !isRunning(pids[2]!), 'the end of one worker')
  const second = startSupervisor(t, { after: first, command: stream() })
  for (const worker of [0, 1, 2]) await second.child.line(new RegExp(`"worker":${worker}.*"msg":"serving"`))
  const { generations, workers } = await statusOf(second)
  t.equal(workers, 3, 'as many as there were')
  const rows = generations.toSorted((a, b) => a.worker - b.worker)
  t.match(rows, [
    { pid: pids[0], release: '1', state: 'serving' },
    { pid: pids[1], release: '2', state: 'serving' },
    { release: '1', state: 'serving' },
  ])
  t.match(rows[2]!.generation, 3, 'who was gone is started')
  await Promise.all(served.loads.slice(0, 2).map((load) => load.progress()))
  for (const { socket } of served.loads.pop()!.clients) socket.destroy()
  const { exitCode, json } = await second.upgrade('--worker', '1')
  t.match({ exitCode, json }, { exitCode: 0, json: { to: { release: '2' } } })
  t.match(await second.upgrade('--', ...stream('--release', '3')), { exitCode: 0, json: { sessions: { moved: 10 } } })
  await served.finish()
  await endsInOrder(t, second)
})
