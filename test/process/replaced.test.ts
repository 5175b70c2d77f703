/** `handover upgrade --supervisor`: another image in the place of the supervisor, and its processes stay. */
import t from 'tap'
import { descriptorSorts, listenerInode, processFact, zombiesOf } from '../harness/census.js'
import { settled } from '../harness/fixpoint.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { ask, Prober } from '../harness/prober.js'
import { hold, NO_PYTHON, servingPython } from '../harness/programs.js'
import { serving } from '../harness/stream.js'
import { endsInOrder, programOf, replace, statusOf } from '../harness/succession.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('three times under load: the same pid, the same runtime, and nobody notices', async (t) => {
  const { supervisor, port, load } = await serving(t)
  t.equal((await supervisor.upgrade()).exitCode, 0)
  const before = await statusOf(supervisor)
  const { pid } = before.generations[0]!
  const inode = listenerInode(port)
  const prober = new Prober(port).start()
  let sorts: Record<string, number> | undefined
  for (const _ of [1, 2, 3]) {
    await load.progress()
    const from = supervisor.child.lines.length
    t.match(await replace(supervisor), { code: 0, json: { pid: supervisor.child.pid } })
    await supervisor.child.line(/supervisor started/, from)
    const now = await statusOf(supervisor)
    t.match(now, { pid: supervisor.child.pid, workers: 1, generations: [{ generation: 2, pid, state: 'serving' }] })
    t.same(now.listeners, before.listeners)
    t.same(now.lastUpgrade, before.lastUpgrade)
    t.equal(processFact(pid!)?.parent, supervisor.child.pid, 'it is its child')
    sorts ??= descriptorSorts(supervisor.child.pid)
    t.same(await settled(sorts, async () => descriptorSorts(supervisor.child.pid)), sorts)
  }
  t.equal(listenerInode(port), inode)
  await prober.stop()
  t.same(prober.refused, [])
  t.match(await supervisor.upgrade(), { exitCode: 0, json: { id: 2, from: { pid }, sessions: { dropped: 0 } } })
  await load.progress()
  t.equal(zombiesOf(supervisor.child.pid).length, 0, 'who has ended is reaped')
  process.kill((await ask(port)).pid, 'SIGKILL')
  await supervisor.child.line(/"reason":"was killed by SIGKILL","delayMs":100/)
  for (const { socket } of load.clients) socket.destroy()
  await endsInOrder(t, supervisor)
})

t.test('to another Node, and back', async (t) => {
  const major = NODE_MAJORS.find((each) => each !== Number(process.versions.node.split('.')[0]))!
  const node = await nodeBinary(major)
  if (node === undefined) return void t.pass(NO_NODE)
  const { supervisor, port, load } = await serving(t)
  const { pid } = await ask(port)
  const { code, json } = await replace(supervisor, '--node', node)
  t.equal(code, 0)
  t.match(json, { pid: supervisor.child.pid, node: new RegExp(`^${major}\\.`), from: { node: process.versions.node } })
  t.match(programOf(supervisor.child.pid), node)
  t.equal((await ask(port)).pid, pid)
  t.match(await supervisor.upgrade(), { exitCode: 0, json: { from: { pid }, sessions: { moved: 30 } } })
  await load.progress()
  t.match(await replace(supervisor, '--node', process.execPath), { code: 0 })
  t.match(programOf(supervisor.child.pid), process.execPath)
  await load.progress()
  await load.finish()
  await endsInOrder(t, supervisor)
})

t.test('a program that does not join stays, with its connections', { skip: NO_PYTHON }, async (t) => {
  const { supervisor, port, pid } = await servingPython(t)
  const held = await hold(t, port)
  t.match(await replace(supervisor), { code: 0 })
  t.match(await statusOf(supervisor), { generations: [{ generation: 1, pid, state: 'serving', joins: false }] })
  t.match(await held.ask(), new RegExp(String(pid)))
  const { exitCode, json } = await supervisor.upgrade()
  t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', from: { pid } } })
  await endsInOrder(t, supervisor)
})
