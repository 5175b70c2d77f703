/** One upgrade before its commit at a time, and none beside a stop. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isRunning } from '../harness/census.js'
import { ask } from '../harness/prober.js'
import { type Serving, serving, stream } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const WAITS = ['--', ...stream('--fault', 'wait-for-signal')]
const waiting = async ({ supervisor }: Serving): Promise<number> =>
  Number((await supervisor.child.line(/^waiting pid=(\d+)$/, supervisor.child.lines.length))[1])

t.test('a second upgrade is refused with the reason, and the first one does not mind', async (t) => {
  const served = await serving(t)
  const { supervisor, load, port } = served
  const first = supervisor.upgrade(...WAITS)
  const successor = await waiting(served)
  const second = await supervisor.upgrade()
  t.equal(second.exitCode, 6)
  t.match(second.json, { error: { code: 'HANDOVER_BUSY', message: /^upgrade 1 is in progress \(spawn\)/ } })
  t.match((await supervisor.status()).json, { upgrading: 'spawn', lastUpgrade: null })
  process.kill(successor, 'SIGUSR2')
  t.equal((await first).exitCode, 0)
  t.equal((await ask(port)).pid, successor)
  t.match((await supervisor.status()).json, { upgrading: null, lastUpgrade: { id: 1, outcome: 'committed' } })
  await load.progress()
  await load.finish()
  t.equal((await supervisor.upgrade('--', ...stream())).exitCode, 0)
})

t.test('a stop during an upgrade gives it up, and stops the predecessor in order', async (t) => {
  const served = await serving(t)
  const { supervisor, load } = served
  await load.quiet()
  const upgrade = supervisor.upgrade(...WAITS)
  const successor = await waiting(served)
  const { exitCode, exit } = await supervisor.stop()
  t.equal(exitCode, 0)
  t.same(exit, { code: 0, signal: null })
  const { exitCode: code, json } = await upgrade
  t.equal(code, 4, 'who waits for the upgrade is told its end')
  t.match(json, {
    outcome: 'failed',
    reasons: [{ reason: 'the supervisor was stopped before the upgrade was committed' }],
  })
  t.equal(json?.reasons.length, 1)
  t.equal(json?.sessions.dropped, 0, 'what the stop has ended is no loss of the upgrade')
  t.notOk(isRunning(successor))
  t.same(supervisor.processes(), [])
  t.same(supervisor.paths(), [])
  for (const { socket } of load.clients) socket.destroy()
})

t.test('an upgrade during a stop is refused; a runtime that does not end at SIGTERM is killed', async (t) => {
  const served = await serving(t, { args: ['--stubborn'], options: ['--drain', `${scaled(1_500)}ms`] })
  const { supervisor, load } = served
  await load.quiet()
  const stop = supervisor.stop()
  await supervisor.child.line(/^stubborn pid=/)
  const upgrade = await supervisor.upgrade()
  t.equal(upgrade.exitCode, 6)
  t.match(upgrade.json, { error: { code: 'HANDOVER_BUSY', message: /^the supervisor is stopping/ } })
  const { exitCode, exit } = await stop
  t.same({ exitCode, exit }, { exitCode: 0, exit: { code: 0, signal: null } })
  await until(() => supervisor.processes().length === 0, 'the end of all processes')
  for (const { socket } of load.clients) socket.destroy()
})

t.test('an upgrade while a runtime that crashed is being started again takes its place', async (t) => {
  const served = await serving(t, { clients: 0 })
  const { supervisor, port } = served
  const marker = join(supervisor.directory, 'crashed')
  const release = stream('--fault', 'wait-for-signal', '--once', marker)
  // The first process that comes after the crash waits for a signal, the others do not.
  writeFileSync(marker, '')
  t.equal((await supervisor.upgrade('--', ...release)).exitCode, 0)
  rmSync(marker)
  process.kill((await ask(port)).pid, 'SIGKILL')
  const next = await waiting(served)
  const queued = ask(port)
  const { exitCode, json } = await supervisor.upgrade()
  t.equal(exitCode, 0)
  t.match(json, {
    from: { pid: next },
    reasons: [{ of: 'upgrade', reason: 'nobody served: generation 3 was only starting' }],
  })
  t.notOk(isRunning(next))
  t.equal((await queued).pid, json?.to.pid, 'who came meanwhile has waited in the backlog')
  t.equal((await supervisor.upgrade()).exitCode, 0)
})
