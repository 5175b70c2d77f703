/** From a runtime to a program that does not join, and back: the listeners go on, sessions stay to their end. */
import t from 'tap'
import { descriptorsOf, isRunning, listenerInode } from '../harness/census.js'
import { Load } from '../harness/load.js'
import { ask, Prober } from '../harness/prober.js'
import { fixture, hold, NO_PYTHON, python } from '../harness/programs.js'
import { STREAM_SERVER, stream } from '../harness/stream.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))
const skip = NO_PYTHON

const listen = ['--listen', 'stream=127.0.0.1:0']
// It looks for a listener of another name.
const renamed = ['sh', '-c', `exec env LISTEN_FDNAMES=web "$@"`, 'sh']

t.test('to a program: refused with sessions, or they are served to their end', { skip }, async (t) => {
  const supervisor = startSupervisor(t, { command: stream(), options: listen })
  const port = Number((await supervisor.child.line(READY))[4])
  const inode = listenerInode(port)
  const load = (await Load.open(port, 5)).start()
  const prober = new Prober(port).start()

  const refused = await supervisor.upgrade('--', ...renamed, ...python('2'))
  t.equal(refused.exitCode, 3)
  const reason = { of: 'refused', kind: 'stream', reason: /the successor does not join: a session cannot move into it/ }
  t.match(refused.json, { outcome: 'refused', serves: 'predecessor' })
  // The prober's own connections are sessions, too.
  t.match(refused.json?.reasons[0], reason)
  t.ok(refused.json!.sessions.refused >= 5)
  await load.progress()

  const upgrade = supervisor.start('upgrade', '--policy', 'best-effort', '--', ...renamed, ...python('3'))
  await supervisor.child.line(/"generation":3,.*"msg":"serving"/)
  while ((await ask(port)).release !== '3');
  await load.progress()
  await prober.stop()
  t.same(prober.refused, [])
  t.notOk(upgrade.hasExited, 'the sessions are with the predecessor')
  await load.finish()
  t.equal((await upgrade.closed).code, 0)
  const { sessions, reasons, serves } = JSON.parse(upgrade.lines.at(-1)!)
  t.equal(serves, 'successor')
  t.match(sessions, { moved: 0, dropped: 0 })
  t.ok(sessions.drained >= 5, `${sessions.drained} drained`)
  t.match(
    reasons.filter(({ of }: { of: string }) => of === 'drained'),
    [{ kind: 'stream', reason: /served to its end by the predecessor/ }],
  )
  t.equal(listenerInode(port), inode)

  const back = await supervisor.upgrade('--', ...stream('--release', '4'))
  t.equal(back.exitCode, 0)
  t.match(back.json, { from: { generation: 3, node: '' }, to: { release: '4' }, sessions: { moved: 0, dropped: 0 } })
  const again = (await Load.open(port, 5)).start()
  const moved = await supervisor.upgrade('--', ...stream('--release', '5'))
  t.match(moved.json, { outcome: 'committed', sessions: { moved: 5, refused: 0 } })
  await again.finish()
  t.equal(listenerInode(port), inode)
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})

t.test(
  'sessions that came in an upgrade before are served to their end, too, or until the deadline',
  { skip },
  async (t) => {
    const supervisor = startSupervisor(t, { command: stream(), options: [...listen, '--drain', `${scaled(300)}ms`] })
    const port = Number((await supervisor.child.line(READY))[4])
    const load = await Load.open(port, 3)
    t.match((await supervisor.upgrade()).json, { sessions: { moved: 3 } })
    const held = await hold(t, port)
    const { exitCode, json } = await supervisor.upgrade('--policy', 'best-effort', '--', ...renamed, ...python('2'))
    t.equal(exitCode, 0)
    t.match(json?.sessions, { refused: 4, dropped: 4, drained: 0 })
    t.match(
      json?.reasons.filter(({ of }) => of === 'dropped'),
      [{ kind: 'stream', count: 4, reason: /does not join.*and still open after \d+ ms of drain/ }],
    )
    t.notOk(isRunning(json!.from.pid!))
    t.equal(load.clients.length, 3)
    held.socket.destroy()
  },
)

t.test('a runtime: its listener is the one of the command line, and it keeps no other copy', { skip }, async (t) => {
  const supervisor = startSupervisor(t, { command: stream(), options: [...listen, '--listen', 'other=127.0.0.1:0'] })
  const [, , , pid, port] = await supervisor.child.line(READY)
  t.match((await supervisor.status()).json, {
    listeners: [{ name: 'stream', address: `127.0.0.1:${port}` }, { name: 'other' }],
  })
  const inode = listenerInode(Number(port))
  const inodes = [...descriptorsOf(Number(pid)).values()]
  t.equal(inodes.filter((target) => target === `socket:[${inode}]`).length, 1)
  const { json } = await supervisor.upgrade()
  t.match(json?.listeners, [{ name: 'stream' }, { name: 'other' }])
  t.equal(listenerInode(Number(port)), inode)
})

t.test('a runtime that asks for another address is told which one it is', { skip }, async (t) => {
  const supervisor = startSupervisor(t, { command: stream(), options: listen })
  const port = Number((await supervisor.child.line(READY))[4])
  const { exitCode } = await supervisor.upgrade('--', 'node', STREAM_SERVER, '--port', '1')
  t.equal(exitCode, 4)
  t.match(
    supervisor.child.lines.join('\n'),
    new RegExp(
      `listener "stream" is kept on 127.0.0.1:${port} by the supervisor \\(--listen\\), and was asked for on 127.0.0.1:1`,
    ),
  )
  t.equal((await ask(port)).release, '1')
})

t.test('what it says of its surroundings', { skip }, async (t) => {
  const command = ['node', fixture('../../../dist/test/fixtures/environment-server.js')]
  const supervisor = startSupervisor(t, { command, options: ['--listen', 'any=127.0.0.1:0'] })
  const seen = JSON.parse((await supervisor.child.line(/^seen (.*)$/))[1]!)
  t.equal(seen.channel, '4', 'the channel is behind the listeners')
  for (const name of ['LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID', 'NOTIFY_SOCKET', 'HANDOVER_CHANNEL']) {
    t.notOk(name in seen.env, name)
    t.notOk(name in seen.ownChild.env, `${name}, in a child of the runtime`)
  }
  t.same(seen.ownChild.fds, [], 'a child of the runtime inherits no socket')
})
