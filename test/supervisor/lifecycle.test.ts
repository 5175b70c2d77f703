/** The supervisor as a process: starts, starts again, gives up, stops, passes on what is said. */
import t from 'tap'
import { isRunning, listenerInode } from '../harness/census.js'
import { compiled, startNode } from '../harness/child.js'
import { ask, Prober } from '../harness/prober.js'
import { STREAM_SERVER, serving, stream } from '../harness/stream.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('a runtime that crashes is started again, and no connection is refused meanwhile', async (t) => {
  const { supervisor, port } = await serving(t, { clients: 0 })
  const inode = listenerInode(port)
  const prober = new Prober(port).start()
  for (const generation of [2, 3, 4]) {
    const { pid } = await ask(port)
    process.kill(pid, 'SIGKILL')
    await supervisor.child.line(
      new RegExp(`"generation":${generation - 1},"reason":"was killed by SIGKILL","delayMs":`),
    )
    t.match(await ask(port), { generation }, 'who comes waits in the backlog')
  }
  await prober.stop()
  const refused = prober.refused.filter(({ message }) => !/answered with ""|ECONNRESET/.test(message))
  t.same(refused, [], 'only connections the killed process had taken were cut')
  t.equal(listenerInode(port), inode, 'it was the same listening socket')
  const delays = supervisor.child.lines.flatMap((line) => /"delayMs":(\d+)/.exec(line)?.[1] ?? [])
  t.same(delays, ['100', '200', '400'], 'each time it waits longer')
  t.equal((await supervisor.upgrade()).exitCode, 0)
})

for (const { name, command, reason } of [
  { name: 'a runtime that crashes each time', command: stream('--fault', 'crash'), reason: /exited with code 41/ },
  { name: 'a command that is not there', command: ['no-such-command-anywhere'], reason: /ENOENT/ },
]) {
  t.test(`${name}: the supervisor gives up and says so`, async (t) => {
    const supervisor = startSupervisor(t, { command })
    t.same(await supervisor.child.closed, { code: 7, signal: null })
    const last = supervisor.child.lines.find((line) => line.includes('crashed 5 times in a row'))
    t.match(last, reason)
    t.same(supervisor.processes(), [])
    t.same(supervisor.paths(), [])
  })
}

t.test('a first runtime that is never ready is ended, and counts as a crash', async (t) => {
  const options = ['--ready-timeout', `${scaled(500)}ms`]
  const supervisor = startSupervisor(t, { command: stream('--fault', 'never-ready'), options })
  await supervisor.child.line(/the runtime was not ready in time: it must call join\(\) and await ready\(\)/)
  await supervisor.child.line(/"reason":"was killed by SIGKILL","delayMs":100/)
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} stops in order`, async (t) => {
    const { supervisor, port } = await serving(t, { clients: 0 })
    const { pid } = await ask(port)
    t.not(supervisor.paths().length, 0)
    t.same(await supervisor.child.kill(signal), { code: 0, signal: null })
    t.notOk(isRunning(pid))
    t.equal(listenerInode(port), undefined, 'the listener is closed')
    t.same(supervisor.paths(), [], 'the paths are removed')
    t.same(supervisor.processes(), [])
  })
}

t.test('SIGHUP upgrades; a second one meanwhile is logged, not lost in a crash', async (t) => {
  const { supervisor, port, load } = await serving(t)
  process.kill(supervisor.child.pid, 'SIGHUP')
  process.kill(supervisor.child.pid, 'SIGHUP')
  await supervisor.child.line(/"outcome":"committed"/)
  t.match(await ask(port), { generation: 2 })
  await load.progress()
  process.kill(supervisor.child.pid, 'SIGHUP')
  await until(
    () => supervisor.child.lines.filter((line) => line.includes('"outcome":"committed"')).length > 1,
    'another',
  )
  t.match(await ask(port), { generation: 3 })
  await load.finish()
})

t.test(
  'the environment: nothing of supervisor, debugger or systemd, nothing of ours for its own children',
  async (t) => {
    const env = {
      NODE_OPTIONS: '--inspect=127.0.0.1:0 --max-old-space-size=512 --inspect-port=0',
      NOTIFY_SOCKET: '/nowhere',
      LISTEN_PID: '1',
      LISTEN_FDS: '1',
      OWN: 'kept',
    }
    const command = ['node', compiled('test/fixtures/environment-server.js')]
    const supervisor = startSupervisor(t, { command, env })
    const seen = JSON.parse((await supervisor.child.line(/^seen (.*)$/))[1]!)
    t.match(seen.env, { OWN: 'kept', NODE_OPTIONS: '--max-old-space-size=512' })
    for (const name of ['NOTIFY_SOCKET', 'LISTEN_PID', 'LISTEN_FDS', 'HANDOVER_CHANNEL']) {
      t.notOk(name in seen.env, name)
      t.notOk(name in seen.ownChild.env, `${name}, in a child of the runtime`)
    }
    t.equal(seen.channel, '3')
    t.equal(seen.channelFlags & 0o2000000, 0o2000000, 'the channel is closed on exec')
    t.same(seen.ownChild.fds, [], 'a child of the runtime inherits no socket')
    await supervisor.child.line(/^to stderr$/)
  },
)

t.test('a supervisor that is killed leaves its runtime serving; another of its name goes on with it', async (t) => {
  const { supervisor, port, load } = await serving(t)
  const { pid } = await ask(port)
  await supervisor.child.kill('SIGKILL')
  await load.progress()
  t.same(await ask(port).then(({ generation }) => generation), 1, 'it accepts, too')
  t.not(supervisor.paths().length, 0, 'the socket of the dead one is still there')
  const args = ['run', '--name', supervisor.name, '--json', '--', 'node', STREAM_SERVER, '--release', '2']
  const next = startNode(t, 'src/cli/main.js', args, { env: supervisor.env })
  await next.line(/"msg":"the release in force stays"/)
  await next.line(/"msg":"serving"/)
  const status = (await supervisor.status()).json
  t.match(
    status,
    { pid: next.pid, generations: [{ release: '1', pid, state: 'serving' }] },
    'and not by itself another',
  )
  t.match(await supervisor.upgrade(), { exitCode: 0, json: { to: { release: '1' }, sessions: { moved: 30 } } })
  await load.progress()
  await load.finish()
  t.notOk(isRunning(pid))
  t.same(await next.kill('SIGTERM'), { code: 0, signal: null })
  t.same(supervisor.paths(), [])
})

t.test('a second supervisor of the same name is refused, the first one does not mind', async (t) => {
  const { supervisor, load } = await serving(t)
  const args = ['run', '--name', supervisor.name, '--json', '--', 'node', STREAM_SERVER]
  const second = startNode(t, 'src/cli/main.js', args, { env: supervisor.env })
  t.same(await second.closed, { code: 1, signal: null })
  t.match(second.lines.join('\n'), /HANDOVER_NAME_TAKEN/)
  t.equal((await supervisor.upgrade()).exitCode, 0)
  await load.progress()
  await load.finish()
})
