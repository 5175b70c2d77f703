/** `handover upgrade --supervisor` that does not come to it: refused, gone back from, busy, or stopped before. */
import t from 'tap'
import { descriptorSorts, zombiesOf } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { settled } from '../harness/fixpoint.js'
import { ask } from '../harness/prober.js'
import { PUPPET_SERVER, Stage } from '../harness/puppet.js'
import { serving, stream } from '../harness/stream.js'
import { endsInOrder, programOf, replace, statusOf } from '../harness/succession.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

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
