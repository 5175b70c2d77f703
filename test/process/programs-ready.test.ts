/** When a program is ready, and when it is not: the predecessor of one that is not has never noticed anything. */
import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { ask } from '../harness/prober.js'
import { environmentOf, fixture, NO_PYTHON, python, servingPython } from '../harness/programs.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))
const skip = NO_PYTHON
const SHORT = `${scaled(500)}ms`
const reasonsOf = (json: { reasons: readonly { reason: string }[] } | undefined): string =>
  json?.reasons.map(({ reason }) => reason).join('\n') ?? ''

/** The pid of a program that says something like this, once it has. */
const pidOf = (match: RegExpExecArray): number => Number(/pid=(\d+)/.exec(match.input)![1])

t.test('why one was not ready is said in its own words', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t, { options: ['--ready-timeout', SHORT] })
  for (const [release, fault, reason] of [
    ['2', 'crash', /the successor exited with code 3 before it was ready$/],
    ['3', 'errno', /exited with code 1 before it was ready; it last said: ERRNO=111$/],
    ['4', 'never-ready', /was not ready within \d+ ms: it must call join\(\) .*; it last said: STATUS=still thinking$/],
    ['5', 'silent', /was not ready within \d+ ms: .* for a program that does neither there is --ready$/],
    ['6', 'background', /exited with code 0 before it was ready; a program must stay in the foreground$/],
  ] as const) {
    const { exitCode, json } = await supervisor.upgrade('--', ...python(release, fault))
    t.equal(exitCode, 4, fault)
    t.match(reasonsOf(json), reason)
    t.match(json, { outcome: 'failed', serves: 'predecessor', sessions: { dropped: 0 } })
    t.equal((await ask(port)).release, '1')
  }
  for (const command of [['no-such-program'], [fixture('listen_fds.py')]]) {
    const { exitCode, json } = await supervisor.upgrade('--', ...command)
    t.equal(exitCode, 4)
    t.match(reasonsOf(json), /could not be started: .* in \/.*: E(NOENT|ACCES): /)
  }
  // The one that went to the background has left its session, and its parent.
  await until(() => supervisor.processes().length === 2, 'the end of the daemon')
  t.equal((await supervisor.upgrade('--', ...python('7'))).exitCode, 0, 'and the next one is none the worse')
})

t.test('one that asks for more time gets it', { skip }, async (t) => {
  const options = ['--ready-timeout', SHORT]
  const { supervisor } = await servingPython(t, { options, env: { EXTEND: String(scaled(400) / 1000) } })
  const begun = performance.now()
  t.equal((await supervisor.upgrade('--', ...python('2', 'slow'))).exitCode, 0)
  t.ok(performance.now() - begun > scaled(500), 'longer than it would have had')
})

t.test('garbage on NOTIFY_SOCKET says nothing, and shows nothing', { skip }, async (t) => {
  const { supervisor } = await servingPython(t, { options: ['--ready-timeout', SHORT] })
  t.equal((await supervisor.upgrade('--', ...python('2', 'garbage'))).exitCode, 0)
  await supervisor.child.line(/^garbage sent$/)
  const said = supervisor.child.lines.find((line) => line.startsWith('started release=2'))!
  const { json } = await supervisor.status()
  t.match(json, { generations: [{ said: 'STATUS=serving release 2', pid: Number(/pid=(\d+)/.exec(said)![1]) }] })
  t.equal((await supervisor.upgrade('--', ...python('3'))).exitCode, 0)
})

t.test('a stranger is not listened to', { skip }, async (t) => {
  const { supervisor } = await servingPython(t, { options: ['--ready-timeout', `${scaled(2_000)}ms`] })
  const upgrade = supervisor.start('upgrade', '--', ...python('2', 'silent'))
  const pid = pidOf(await supervisor.child.line(/^started release=2 /))
  const address = environmentOf(pid)['NOTIFY_SOCKET']!
  const script = `import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect("\\0" + sys.argv[1][1:]); s.send(b"READY=1"); input()`
  // It waits until the answer is known: who has ended cannot be looked at.
  const stranger = spawnSync('timeout', [
    String(scaled(1)),
    'sh',
    '-c',
    'sleep 1000 | python3 -c "$@"',
    'sh',
    script,
    address,
  ])
  t.equal(stranger.status, 124, stranger.stderr.toString())
  t.equal((await upgrade.closed).code, 4)
  t.match(
    upgrade.lines.at(-1),
    /NOTIFY_SOCKET: process \d+ has ended, or does not descend from it, and was not listened to/,
  )
})

t.test('--settle: who says that it is ready, and dies of it, is not believed', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t)
  const { exitCode, json } = await supervisor.upgrade('--settle', '5s', '--', ...python('2', 'dies-after-ready'))
  t.equal(exitCode, 4)
  t.match(reasonsOf(json), /exited with code 4 before it was ready; it last said: STATUS=serving release 2/)
  t.equal((await ask(port)).release, '1')
  t.equal((await supervisor.upgrade('--settle', '0s', '--', ...python('3'))).exitCode, 0)
})

t.test('--ready alive: who says nothing is ready when it has lived for a while', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t)
  const alive = ['--ready', 'alive', '--settle', '200ms', '--']
  const { exitCode, json } = await supervisor.upgrade(...alive, ...python('2', 'silent'))
  t.equal(exitCode, 0)
  // Its time runs from its start, which is a little before the phase begins.
  t.ok(json!.phases[0]!.durationMs > 150, `${json!.phases[0]!.durationMs} ms`)
  t.equal((await ask(port)).release, '2')
  t.equal((await supervisor.upgrade('--settle', '20s', '--', ...python('3', 'crash'))).exitCode, 4)
  t.equal((await supervisor.upgrade('--', ...python('4', 'silent'))).exitCode, 0, 'it stays in force')
})

async function probing(t: Test, url: (port: number) => string): Promise<void> {
  const { supervisor, port } = await servingPython(t, { options: ['--ready-timeout', SHORT] })
  const ready = ['--ready', url(port)]
  // It is alive, and whoever is asked at that address answers: the predecessor.
  const other = await supervisor.upgrade(...ready, '--', 'sleep', '1000')
  t.equal(other.exitCode, 4)
  t.match(reasonsOf(other.json), /was not ready within \d+ ms/)
  t.equal((await ask(port)).release, '1')
}

t.test('--ready tcp://: only what the new process itself accepts counts', { skip }, async (t) => {
  await probing(t, (port) => `tcp://127.0.0.1:${port}`)
  const { supervisor, port } = await servingPython(t)
  const { exitCode } = await supervisor.upgrade('--ready', `tcp://127.0.0.1:${port}`, '--', ...python('2', 'silent'))
  t.equal(exitCode, 0)
  t.equal((await ask(port)).release, '2')
})

t.test('--ready http://: and what it answers', { skip }, async (t) => {
  const { supervisor, port } = await servingPython(t)
  const node = (release: string) => ['node', fixture('../../../dist/test/fixtures/programs/node-server.js'), release]
  const url = `http://127.0.0.1:${port}/health`
  t.equal((await supervisor.upgrade('--ready', url, '--', ...node('2'))).exitCode, 0)
  t.equal((await supervisor.upgrade('--', ...node('3'))).exitCode, 0)
  const response = await fetch(url)
  t.match(await response.text(), /^release=3 /)
  // No answer to a GET: it is not HTTP.
  const python4 = await supervisor
    .upgrade('--ready-timeout', '1s', '--', ...python('4', 'silent'))
    .catch(() => undefined)
  t.not(python4?.exitCode, 0)
})
