/** A supervisor is killed, and another one of its name goes on with what it has left. */

import t, { type Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { descriptorSorts, isRunning, listenerInode } from '../harness/census.js'
import { settled } from '../harness/fixpoint.js'
import { ask, Prober } from '../harness/prober.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const statusOf = async (supervisor: TestSupervisor) => (await supervisor.status()).json as unknown as SupervisorStatus

/** Kills the supervisor; another one has begun, and serves with all there is. */
async function succeed(t: Test, before: TestSupervisor, command = stream()): Promise<TestSupervisor> {
  await before.child.kill('SIGKILL')
  const supervisor = startSupervisor(t, { after: before, command })
  await supervisor.child.line(/"msg":"serving"/)
  return supervisor
}

async function goodEnd(t: Test, supervisor: TestSupervisor): Promise<void> {
  t.match(await supervisor.stop(), { exitCode: 0, exit: { code: 0 } })
  t.same(
    supervisor.processes().filter(({ state }) => state !== 'Z'),
    [],
    'no process is left',
  )
  t.same(supervisor.paths(), [], 'and no path')
}

t.test('killed while all is quiet: no connection notices, and the next supervisor knows everything', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  t.equal((await first.upgrade('--', ...stream('--release', '2'))).exitCode, 0)
  const before = await statusOf(first)
  const { pid } = await ask(port)
  const inode = listenerInode(port)
  const sorts = descriptorSorts(pid)
  const prober = new Prober(port).start()
  const second = await succeed(t, first)
  await load.progress()
  await prober.stop()
  t.same(prober.refused, [], 'no connection was refused')
  const now = await statusOf(second)
  t.match(now, {
    pid: second.child.pid,
    workers: 1,
    upgrading: null,
    generations: [{ generation: 2, release: '2', pid, state: 'serving', joins: true, sessions: { stream: 30 } }],
    listeners: before.listeners,
  })
  t.same(now.lastUpgrade, before.lastUpgrade, 'the last upgrade is known')
  t.equal((await ask(port)).pid, pid)
  t.equal(listenerInode(port), inode, 'the same listening socket')
  t.same(await settled(sorts, async () => descriptorSorts(pid)), sorts, 'the runtime has no descriptor more')
  const { exitCode, json } = await second.upgrade()
  t.equal(exitCode, 0)
  t.match(json, {
    id: before.lastUpgrade!.id + 1,
    outcome: 'committed',
    from: { generation: 2, release: '2', pid },
    to: { generation: 3, release: '2' },
    sessions: { moved: 30, dropped: 0 },
  })
  t.notOk(isRunning(pid))
  t.equal(listenerInode(port), inode, 'the successor has the same one')
  await load.progress()
  await load.finish()
  t.same(wrongLines({ supervisor: second, port, load }), [])
  await goodEnd(t, second)
})
