/** A supervisor is killed in the middle of an upgrade: its two sides decide it, and the next supervisor finds out. */
import { existsSync, lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { isRunning, processFact } from '../harness/census.js'
import { ask } from '../harness/prober.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { endsInOrder, goesOn, statusOf, succeed } from '../harness/succession.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'
import { cluster, faulty, pidsOf, waitsForOthers } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-adoption-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const whoIsAt = (path: string): Promise<string> => within(text(connect(path)), `an answer at ${path}`)

const PATIENT = ['--freeze', `${scaled(10_000)}ms`]

t.test('while the successor starts: it is ended', async (t) => {
  const served = await serving(t)
  const { supervisor: first, port } = served
  const { pid } = await ask(port)
  first.start('upgrade', '--', ...stream('--release', '2', '--fault', 'wait-for-signal'))
  const successor = Number((await first.child.line(/^waiting pid=(\d+)$/))[1])
  const second = await succeed(t, first)
  t.notOk(isRunning(successor))
  t.match(await statusOf(second), {
    generations: [{ generation: 1, pid, state: 'serving' }],
    lastUpgrade: { id: 1, outcome: 'failed', serves: 'predecessor', from: { pid } },
  })
  await goesOn(t, served, second)
  await served.load.finish()
  await endsInOrder(t, second)
})

t.test('a successor that only waits is heard first: the path that the predecessor serves on stays', async (t) => {
  const path = join(folder(t), 'local.sock')
  const served = await serving(t, { args: ['--path', path] })
  const { supervisor: first, port } = served
  const { pid } = await ask(port)
  const inode = lstatSync(path).ino
  first.start('upgrade', '--', ...stream('--path', path, '--fault', 'wait-for-signal'))
  await first.child.line(/^waiting pid=/)
  process.kill(pid, 'SIGSTOP')
  await first.child.kill('SIGKILL')
  const second = startSupervisor(t, { after: first, command: stream() })
  await second.child.line(/is ended: it only waited to serve/)
  process.kill(pid, 'SIGCONT')
  await second.child.line(/"msg":"serving"/)
  t.equal(lstatSync(path, { throwIfNoEntry: false })?.ino, inode, 'the same socket')
  t.equal(await whoIsAt(path), String(pid))
  t.match(await second.upgrade('--', ...stream('--path', path)), { exitCode: 0, json: { from: { pid } } })
  t.equal(lstatSync(path).ino, inode)
  t.equal(await whoIsAt(path), String((await ask(port)).pid))
  await served.load.progress()
  await served.load.finish()
  await endsInOrder(t, second)
  t.notOk(existsSync(path), 'it goes with the supervisor that it is now')
})

for (const lives of [true, false]) {
  t.test(`in the freeze, of which the successor ${lives ? 'makes the best' : 'dies'}`, async (t) => {
    const served = await serving(t, { options: PATIENT })
    const { supervisor: first, port } = served
    const { pid } = await ask(port)
    const once = ['--fault', 'stop-in-restore', '--times', '1', '--once', join(first.directory, 'stopped')]
    first.start('upgrade', '--', ...stream('--release', '2', ...once))
    const successor = Number((await first.child.line(/^stopped pid=(\d+)$/))[1])
    await until(() => processFact(successor)?.state === 'T', 'the successor to stand still')
    await first.child.kill('SIGKILL')
    process.kill(successor, lives ? 'SIGCONT' : 'SIGKILL')
    const second = await succeed(t, first)
    const serves = lives ? { generation: 2, pid: successor, release: '2' } : { generation: 1, pid, release: '1' }
    await served.load.progress()
    t.match(await ask(port), serves)
    t.match((await statusOf(second)).lastUpgrade, {
      id: 1,
      outcome: lives ? 'committed' : 'failed',
      to: { generation: 2 },
    })
    const { json } = await second.upgrade()
    t.match(json, { outcome: 'committed', from: serves, to: { release: serves.release } }, 'its release is in force')
    await goesOn(t, served, second)
    await served.load.finish()
    t.same(wrongLines(served), [])
    rmSync(join(first.directory, 'stopped'), { force: true })
    await endsInOrder(t, second)
  })
}

t.test('in the freeze, and the next supervisor comes before it is over: it waits for what becomes of it', async (t) => {
  const served = await serving(t, { options: PATIENT })
  const { supervisor: first, port } = served
  first.start('upgrade', '--', ...stream('--release', '2', '--fault', 'stop-in-restore', '--times', '1'))
  const successor = Number((await first.child.line(/^stopped pid=(\d+)$/))[1])
  await until(() => processFact(successor)?.state === 'T', 'the successor to stand still')
  await first.child.kill('SIGKILL')
  const next = succeed(t, first)
  // Both wait to be accepted: one is in its freeze, the other stands still.
  while ((await statusOf(first)).generations === undefined);
  process.kill(successor, 'SIGCONT')
  const second = await next
  t.match(await ask(port), { generation: 2, pid: successor })
  await goesOn(t, served, second)
  await served.load.finish()
  await endsInOrder(t, second)
})

t.test('several workers, in the freeze of all: they decide together', async (t) => {
  const served = await cluster(t, { clients: 5, options: PATIENT })
  const { supervisor: first } = served
  const pids = await pidsOf(served)
  first.start('upgrade', ...faulty(1, 'stop-in-restore', '--times', '1', '--release', '2'))
  const stopped = Number((await first.child.line(/^stopped pid=(\d+)$/))[1])
  await waitsForOthers(pids[0]!)
  await first.child.kill('SIGKILL')
  process.kill(stopped, 'SIGCONT')
  const second = await succeed(t, first)
  for (const worker of [0, 1, 2]) await second.child.line(new RegExp(`"worker":${worker}.*"msg":"serving"`))
  await served.progress()
  const { generations } = await statusOf(second)
  const rows = generations.filter(({ state }) => state === 'serving')
  t.equal(rows.length, 3)
  t.equal(new Set(rows.map(({ generation }) => generation)).size, 1, 'all of them, or none')
  const { exitCode, json } = await second.upgrade('--', ...stream('--release', '3'))
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 15, dropped: 0 } } })
  await served.finish()
  await endsInOrder(t, second)
})
