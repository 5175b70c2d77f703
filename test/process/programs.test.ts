/** A program that knows sd_listen_fds(3) and sd_notify(3), and nothing of handover: replaced under load, or not at all. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { isRunning, listenerInode, pathsUnder } from '../harness/census.js'
import { compiled, startChild } from '../harness/child.js'
import { census, censusLike, settled } from '../harness/fixpoint.js'
import { ask, Prober } from '../harness/prober.js'
import { environmentOf, hold, NO_PYTHON, python, STARTED, servingPython } from '../harness/programs.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))
const skip = NO_PYTHON

t.test('what a program is started with', { skip }, async (t) => {
  const env = {
    LISTEN_FDS: '7',
    LISTEN_FDNAMES: 'theirs',
    NOTIFY_SOCKET: '/nowhere',
    NODE_OPTIONS: '--inspect',
    'odd.name': 'a b',
  }
  const supervisor = startSupervisor(t, {
    command: python('1'),
    env,
    options: ['--listen', 'web=127.0.0.1:0', '--listen', 'admin=127.0.0.1:0'],
  })
  const { input: line, 2: pid } = await supervisor.child.line(STARTED)
  t.match(line, / web=\d+ admin=\d+ blocking=False channel=5 stdin=\/dev\/null session=True$/)
  const seen = environmentOf(Number(pid))
  t.match(seen, {
    LISTEN_FDS: '2',
    LISTEN_FDNAMES: 'web:admin',
    LISTEN_PID: pid,
    HANDOVER_CHANNEL: '5',
    'odd.name': 'a b',
  })
  t.match(seen['NOTIFY_SOCKET'], /^@handover\//)
  t.notOk('NODE_OPTIONS' in seen)
  await supervisor.child.line(/"msg":"serving"/)
  const { json } = await supervisor.status()
  t.match(json, {
    generations: [
      { state: 'serving', joins: false, said: 'STATUS=serving release 1', sessions: null, pid: Number(pid) },
    ],
    listeners: [
      { name: 'web', address: `127.0.0.1:${/web=(\d+)/.exec(line)![1]}` },
      { name: 'admin', address: /^127\.0\.0\.1:\d+$/ },
    ],
  })
  t.same((await supervisor.upgrade('--ready', 'notify', '--', ...python('2'))).exitCode, 0)
  const { input: again } = await supervisor.child.line(/^started release=2 /)
  t.match(again, / channel=None /, 'who is not asked to join gets no channel')
  t.equal((await supervisor.stop()).exit.code, 0)
})

t.test('upgrades and failed upgrades under load: none refused, none reset, nothing left', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t, { options: ['--ready-timeout', `${scaled(1_000)}ms`] })
  const inode = listenerInode(port)
  // With the probers at it, it would be one of their connections more or less.
  const before = await census(supervisor, port)
  const probers = Array.from({ length: 4 }, () => new Prober(port).start())
  for (const fault of ['crash', 'errno', 'never-ready']) {
    const { exitCode, json } = await supervisor.upgrade('--', ...python('9', fault))
    t.equal(exitCode, 4, fault)
    t.match(json, { outcome: 'failed', serves: 'predecessor', from: { generation: 1 } })
  }
  const { runtime: _, ...others } = before
  const withoutRuntime = async () => {
    const { runtime: __, ...now } = await census(supervisor, port)
    return now
  }
  t.same(await settled(others, withoutRuntime), others, 'as if they had not been')
  for (const release of ['2', '3', '4', '5', '6']) {
    const { exitCode, json } = await supervisor.upgrade('--', ...python(release))
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', serves: 'successor', sessions: { moved: 0, dropped: 0, refused: 0 } })
    t.match(json?.reasons[0], { of: 'upgrade', reason: /does not join: its connections stay with it until they end/ })
    t.same(
      json?.phases.map(({ phase }) => phase),
      ['spawn', 'drain'],
    )
    t.match(json?.listeners, [{ name: 'web', address: `127.0.0.1:${port}` }])
    t.equal((await ask(port)).release, release)
    t.notOk(isRunning(json!.from.pid!), 'the old one is gone when the command ends')
  }
  await Promise.all(probers.map((prober) => prober.stop()))
  // Never ready is not the same as not accepting: those that were answered by it were answered.
  t.same(
    probers.flatMap(({ refused }) => refused),
    [],
  )
  t.ok(
    probers.every(({ made }) => made > 50),
    `${probers.map(({ made }) => made).join(', ')} connections`,
  )
  t.equal(listenerInode(port), inode, 'it was the same listening socket')
  t.same(await censusLike(before, supervisor, port), before, 'descriptors, processes and paths are at a fixpoint')
  for (const release of ['1', '2', '3', '4', '5'])
    t.same(
      supervisor.child.lines.filter((line) => line.startsWith(`stopping release=${release} `)),
      [`stopping release=${release} signal=SIGTERM`],
      'told once',
    )
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
  t.same(pathsUnder(supervisor.directory), [])
  t.equal(listenerInode(port), undefined)
})

t.test('what is open stays with the old one until it ends', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t)
  const { ask: askLater } = await hold(t, port)
  await ask(port)
  const upgrade = supervisor.start('upgrade', '--stop-signal', 'SIGQUIT', '--', ...python('2'))
  await supervisor.child.line(/^stopping release=1 signal=SIGTERM$/)
  // It may take the one more that was there before the signal.
  while ((await ask(port)).release !== '2');
  t.match((await supervisor.status()).json, { generations: [{ state: 'draining' }, { state: 'serving' }] })
  t.match(await askLater(), /^release=1 /, 'and is served by it')
  t.equal((await upgrade.closed).code, 0)
  const { reasons, sessions } = JSON.parse(upgrade.lines.at(-1)!)
  t.match(reasons[1], { reason: /had 1 connections when it got SIGTERM, and exited with code 0 after \d+ ms/ })
  t.match(sessions, { drained: 0, dropped: 0 }, 'how it ended is not known')
  t.equal((await supervisor.upgrade('--', ...python('3'))).exitCode, 0)
  await supervisor.child.line(/^stopping release=2 signal=SIGQUIT$/)
})

t.test('at the deadline it is killed, and what it still had is counted', { skip }, async (t) => {
  const { supervisor, port, pid } = await servingPython(t, { options: ['--drain', `${scaled(300)}ms`] })
  const held = [await hold(t, port), await hold(t, port)]
  for (const _ of held) await ask(port)
  const { exitCode, json } = await supervisor.upgrade('--', ...python('2'))
  t.equal(exitCode, 0)
  t.match(json?.sessions, { dropped: 2 })
  t.match(json?.reasons[1], {
    of: 'dropped',
    count: 2,
    reason: /was killed by SIGKILL after \d+ ms: connections it still had were cut/,
  })
  t.notOk(isRunning(pid))
  await Promise.all(
    held.map(({ socket }) =>
      until(() => socket.destroyed || socket.readableEnded || socket.errored !== null, 'its end'),
    ),
  )
})

t.test('one that does not handle the signal is not said to have drained', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t, { command: python('1', 'no-handler') })
  await hold(t, port)
  await ask(port)
  const { json } = await supervisor.upgrade('--', ...python('2'))
  t.match(json, { outcome: 'committed', sessions: { dropped: 1, drained: 0 } })
  t.match(json?.reasons[1], { of: 'dropped', count: 1, reason: /does not handle SIGTERM, which ended it at once/ })
})

t.test('a serving program that crashes is started again, and who comes waits in the backlog', { skip }, async (t) => {
  const { supervisor, port, pid } = await servingPython(t)
  process.kill(pid, 'SIGKILL')
  const next = await ask(port)
  t.not(next.pid, pid)
  await supervisor.child.line(/"generation":1,"reason":"was killed by SIGKILL","delayMs":100/)
  t.equal((await supervisor.upgrade()).exitCode, 0)
})

t.test('an address that cannot be had ends the command', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t)
  const second = startSupervisor(t, { command: python('1'), options: ['--listen', `web=127.0.0.1:${port}`] })
  t.same(await second.child.closed, { code: 1, signal: null })
  t.match(
    second.child.lines.join('\n'),
    new RegExp(`listener \\"web\\" on 127.0.0.1:${port}: EADDRINUSE`.replaceAll('\\"', '.{1,2}')),
  )
  t.same(second.paths(), [])
  t.equal((await ask(port)).release, '1')
  t.equal((await supervisor.stop()).exit.code, 0)
})

t.test('a shell script in front: it execs, or it does not', { skip }, async (t) => {
  const script = (tail: string) => [
    'sh',
    '-c',
    `test "$LISTEN_PID" = $$ || exit 9; ${tail}`,
    'sh',
    ...python('1', 'wrapped'),
  ]
  const { supervisor, port } = await servingPython(t, { command: script('exec "$@"') })
  const { pid } = await ask(port)
  t.equal(environmentOf(pid)['LISTEN_PID'], String(pid))
  // The shell does not handle SIGTERM, and its child would go on accepting beside its replacement.
  t.equal((await supervisor.upgrade('--', ...script('"$@" & wait'))).exitCode, 0)
  const orphan = await ask(port)
  const { exitCode, json } = await supervisor.upgrade('--', ...python('3'))
  t.equal(exitCode, 0)
  t.not(json?.from.pid, orphan.pid)
  await until(() => !isRunning(orphan.pid), 'the end of the child of the shell')
  t.equal((await ask(port)).release, '3')
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})

t.test(
  'a program that is killed by another signal than its own leaves no worker',
  { skip: skip || spawnSync('sh', ['-c', ':']).status !== 0 },
  async (t) => {
    const { supervisor, port, pid } = await servingPython(t, {
      command: ['sh', '-c', 'setsid "$@" & sh -c "sleep 1000" & wait', 'sh', ...python('1', 'wrapped')],
    })
    const shell = JSON.parse(supervisor.child.lines.find((line) => line.includes('"msg":"serving"'))!).pid
    t.not(pid, shell)
    process.kill(shell, 'SIGKILL')
    await until(() => !isRunning(pid), 'the end of the one in a session of its own')
    t.match((await ask(port)).release, '1')
    t.equal((await supervisor.stop()).exit.code, 0)
    t.same(supervisor.processes(), [])
  },
)

t.test('MAINPID: the one that goes on is who is meant', { skip }, async (t) => {
  const { supervisor, port, pid } = await servingPython(t, { command: python('1', 'hands-on') })
  const main = Number((await supervisor.child.line(/^goes on pid=(\d+)$/))[1])
  await until(() => !isRunning(pid), 'the end of the process that was started')
  t.equal((await ask(port)).pid, main)
  t.match((await supervisor.status()).json, { generations: [{ state: 'serving', pid: main }] })
  const { exitCode, json } = await supervisor.upgrade('--', ...python('2', 'hands-on'))
  t.equal(exitCode, 0)
  t.match(json, { from: { pid: main }, sessions: { dropped: 0 } })
  await supervisor.child.line(/^stopping release=1 signal=SIGTERM$/)
  t.notOk(isRunning(main))
  const second = await ask(port)
  process.kill(second.pid, 'SIGKILL')
  await supervisor.child.line(/"generation":2,"reason":"has ended \(its main process, named by MAINPID\)"/)
  t.not((await ask(port)).pid, second.pid)
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
})

t.test('Ctrl-C reaches the supervisor alone, which stops all in order', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'handover-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const run = ['run', '--json', '--listen', 'web=127.0.0.1:0', '--', ...python('1')]
  const args = [process.execPath, compiled('src/cli/main.js'), ...run]
  // The group of a terminal's foreground: of its own, so that the signal does not end this test.
  const child = startChild(t, 'setsid', args, { env: { XDG_RUNTIME_DIR: directory } })
  const program = Number((await child.line(STARTED))[2])
  await child.line(/"msg":"serving"/)
  process.kill(-child.pid, 'SIGINT')
  t.same(await child.closed, { code: 0, signal: null })
  t.ok(child.lines.includes('stopping release=1 signal=SIGTERM'), child.lines.join('\n'))
  t.ok(child.lines.includes('ended release=1'))
  t.notOk(isRunning(program))
})
