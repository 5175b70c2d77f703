/** What a new supervisor is given back: sockets of every type, of runtimes of another user, and of the command line. */
import { lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { isRunning } from '../harness/census.js'
import { Load } from '../harness/load.js'
import { freePort } from '../harness/port.js'
import { ask } from '../harness/prober.js'
import { PUPPET_SERVER, Puppet, Stage } from '../harness/puppet.js'
import { serving, stream } from '../harness/stream.js'
import { endsInOrder, statusOf, succeed } from '../harness/succession.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('a unix listener and a UDP socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-unix-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'web.sock')
  const args = ['--path', path, '--udp', JSON.stringify({ type: 'udp4' })]
  const stage = await Stage.start(t, { args })
  const puppet = await Puppet.open(stage)
  const before = await statusOf(stage.supervisor)
  const { ino } = lstatSync(path)
  const command = ['node', PUPPET_SERVER, ...args]
  const second = await succeed(t, stage.supervisor, { command })
  t.same((await statusOf(second)).listeners, before.listeners, 'the same sockets, and the same names')
  t.equal(before.listeners.length, 4)
  t.equal(lstatSync(path).ino, ino)
  t.match(await second.upgrade(), { exitCode: 0, json: { sessions: { moved: 1 } } })
  t.same((await statusOf(second)).listeners, before.listeners)
  puppet.send('hello')
  await puppet.sees((_socket, session) => session.bytes.toString('latin1') === 'hello')
  puppet.client.destroy()
  await endsInOrder(t, second)
  t.equal(lstatSync(path, { throwIfNoEntry: false }), undefined, 'its path goes with an orderly stop')
})

t.test('one of the command line is the one that the runtime has', async (t) => {
  const port = await freePort()
  const options = ['--listen', `stream=127.0.0.1:${port}`]
  const { supervisor: first, load } = await serving(t, { options, args: ['--port', String(port)] })
  const before = await statusOf(first)
  const second = await succeed(t, first, { options, command: stream('--port', String(port)) })
  t.same((await statusOf(second)).listeners, before.listeners)
  t.match(await second.upgrade('--', ...stream('--port', String(port))), {
    exitCode: 0,
    json: { sessions: { moved: 30 } },
  })
  await load.progress()
  await load.finish()
  await endsInOrder(t, second)
})

const notRoot = process.geteuid?.() !== 0 && 'needs root'

t.test('runtimes of another user, who may not enter the folder', { skip: notRoot }, async (t) => {
  const options = ['--user', 'daemon']
  const [, server, ...rest] = stream()
  const command = [process.execPath, server!, ...rest]
  const first = startSupervisor(t, { options, command })
  const [, , , pid, port] = await first.child.line(READY)
  const load = (await Load.open(Number(port), 10)).start()
  const second = await succeed(t, first, { options, command })
  await load.progress()
  t.equal((await ask(Number(port))).pid, Number(pid))
  t.match(await second.upgrade(), { exitCode: 0, json: { from: { pid: Number(pid) }, sessions: { moved: 10 } } })
  t.notOk(isRunning(Number(pid)))
  await load.progress()
  await load.finish()
  await endsInOrder(t, second)
})
