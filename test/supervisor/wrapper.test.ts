/** A command that starts the runtime as its child: the runtime is what is transferred to, signalled and fenced. */
import t from 'tap'
import { descendsFrom } from '../../src/sys/process-tree.js'
import { isRunning } from '../harness/census.js'
import { compiled } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { ask } from '../harness/prober.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const SERVER = compiled('test/fixtures/stream-server.js')
const wrapped = (...args: string[]) => ['sh', '-c', `node ${[SERVER, ...args].join(' ')}; exit $?`]

t.test('a runtime behind a shell is upgraded, fenced and stopped like any other', async (t) => {
  const supervisor = startSupervisor(t, { options: ['--freeze', '1s'], command: wrapped() })
  const port = Number((await supervisor.child.line(READY))[4])
  const load = (await Load.open(port, 20)).start()
  const first = await ask(port)
  const { exitCode, json } = await supervisor.upgrade()
  t.equal(exitCode, 0)
  t.match(json, { from: { pid: first.pid }, sessions: { moved: 20, dropped: 0 } })
  const second = await ask(port)
  t.equal(json?.to.pid, second.pid, 'the result names the runtime, not the shell')
  t.notOk(isRunning(first.pid))
  await load.progress()

  const hung = await supervisor.upgrade('--', ...wrapped('--fault', 'hang-in-restore'))
  t.equal(hung.exitCode, 4)
  t.notOk(isRunning(hung.json?.to.pid ?? 0), 'the runtime that hung is dead, not only its shell')
  t.equal((await ask(port)).pid, second.pid)
  await load.progress()
  await load.finish()
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
})

t.test('who descends from whom', async (t) => {
  t.ok(descendsFrom(process.pid, process.ppid))
  t.notOk(descendsFrom(process.ppid, process.pid))
  t.notOk(descendsFrom(process.pid, process.pid))
  t.notOk(descendsFrom(process.pid, undefined))
  t.throws(() => descendsFrom(2 ** 22 + 1, 1), { code: 'ENOENT' })
})
