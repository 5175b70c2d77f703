/** `handover upgrade --supervisor`: another image in the place of the supervisor, and its processes stay. */
import t from 'tap'
import { descriptorSorts, listenerInode, processFact, zombiesOf } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { settled } from '../harness/fixpoint.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { ask, Prober } from '../harness/prober.js'
import { hold, NO_PYTHON, servingPython } from '../harness/programs.js'
import { PUPPET_SERVER, Stage } from '../harness/puppet.js'
import { serving, stream } from '../harness/stream.js'
import { endsInOrder, statusOf } from '../harness/succession.js'
import type { TestSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

interface Answer {
  readonly pid: number
  readonly node: string
  readonly from: { readonly node: string }
  readonly error?: { readonly code: string; readonly message: string }
}

async function replace(
  supervisor: TestSupervisor,
  ...args: string[]
): Promise<{ code: number | null; json: Answer | undefined }> {
  const command = supervisor.start('upgrade', '--supervisor', ...args)
  const { code } = await within(command.closed, 'the end of upgrade --supervisor', scaled(60_000))
  const last = command.lines.findLast((line) => line.startsWith('{'))
  return { code, json: last === undefined ? undefined : (JSON.parse(last) as Answer) }
}

/** What runs in that process now. */
const programOf = (pid: number): string => processFact(pid)?.command ?? ''

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

t.test('a candidate that cannot start is refused, and nothing changes', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const { pid } = await ask(port)
  const paths = supervisor.paths()
  const sorts = descriptorSorts(supervisor.child.pid)
  for (const [node, why] of [
    ['/bin/false', /exited with code 1 before it was known to be able to/],
    ['/bin/true', /exited with code 0 before/],
  ] as const) {
    const { code, json } = await replace(supervisor, '--node', node)
    t.equal(code, 3, node)
    t.match(json, { error: { code: 'HANDOVER_SUPERVISOR_REFUSED' } })
    t.match(json?.error?.message, why)
    t.match(await statusOf(supervisor), { generations: [{ generation: 1, pid, state: 'serving' }] })
    t.equal(zombiesOf(supervisor.child.pid).length, 0)
  }
  t.same(
    supervisor.paths().filter((path) => path !== 'none'),
    paths,
  )
  t.same(await settled(sorts, async () => descriptorSorts(supervisor.child.pid)), sorts)
  await load.progress()
  t.match(await supervisor.upgrade(), { exitCode: 0 })
  await load.finish()
})

t.test('one that passes its rehearsal, and cannot take over: the one before goes on', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const { pid } = await ask(port)
  const cli = compiled('test/fixtures/broken-cli.js')
  const command = supervisor.startCli(cli, 'upgrade', '--supervisor')
  const { code } = await within(command.closed, 'the end of upgrade --supervisor', scaled(60_000))
  t.equal(code, 3, command.lines.join('\n'))
  t.match(command.lines.join('\n'), /it could not take over: on purpose/)
  t.match(await statusOf(supervisor), { pid: supervisor.child.pid, generations: [{ pid, state: 'serving' }] })
  t.notMatch(programOf(supervisor.child.pid), /broken-cli/)
  await load.progress()
  t.match(await supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: 30 } } })
  t.match(await replace(supervisor), { code: 0 })
  await load.progress()
  await load.finish()
  await endsInOrder(t, supervisor)
})

t.test('while an upgrade is undecided, or a worker starts: busy; while one drains it goes on', async (t) => {
  const { supervisor, load } = await serving(t)
  supervisor.start('upgrade', '--', ...stream('--fault', 'wait-for-signal'))
  const [, successor] = await supervisor.child.line(/^waiting pid=(\d+)$/)
  t.match(await replace(supervisor), { code: 6, json: { error: { code: 'HANDOVER_BUSY' } } })
  process.kill(Number(successor), 'SIGUSR2')
  await supervisor.child.line(/"generation":2.*"msg":"serving"/)
  await load.progress()
  await load.finish()

  const stage = await Stage.start(t)
  const held = await stage.unregistered()
  stage.supervisor.start('upgrade')
  await stage.supervisor.child.line(/"generation":2.*"msg":"serving"/)
  t.match(await replace(stage.supervisor), { code: 0 })
  const rows = (await statusOf(stage.supervisor)).generations
  t.same(rows.map(({ state }) => state).sort(), ['draining', 'serving'])
  held.destroy()
  await until(() => stage.supervisor.processes().length === 2, 'the end of the predecessor')
  t.match(await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER), { exitCode: 0 })
  await endsInOrder(t, stage.supervisor)
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

t.test('a stop while the candidate is tried comes first', async (t) => {
  const { supervisor, load } = await serving(t)
  const trial = () =>
    supervisor.processes().find(({ parent, command }) => parent === supervisor.child.pid && / run /.test(command))
  const command = supervisor.start('upgrade', '--supervisor')
  await until(() => trial() !== undefined, 'the rehearsal')
  process.kill(trial()!.pid, 'SIGSTOP')
  t.equal((await supervisor.stop()).exitCode, 0)
  t.match(await command.closed, { code: 3 })
  t.same(
    supervisor.processes().filter(({ state }) => state !== 'Z'),
    [],
  )
  t.same(supervisor.paths(), [])
  for (const { socket } of load.clients) socket.destroy()
})
