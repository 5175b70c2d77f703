/** What a new supervisor must not believe, and who must not be believed to be one. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { formatRecord, parseRecord } from '../../src/supervisor/record.js'
import { isRunning, pathsUnder } from '../harness/census.js'
import { cleanEnvironment, startChild } from '../harness/child.js'
import { ask } from '../harness/prober.js'
import { hold, NO_PYTHON, python, STARTED, servingPython } from '../harness/programs.js'
import { serving, stream } from '../harness/stream.js'
import { endsInOrder, statusOf, succeed } from '../harness/succession.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const folderOf = ({ directory, name }: TestSupervisor): string => join(directory, 'handover', name)
const recordOf = (supervisor: TestSupervisor): string => join(folderOf(supervisor), 'record.json')
const meetingOf = (supervisor: TestSupervisor): string =>
  join(folderOf(supervisor), pathsUnder(folderOf(supervisor)).find((path) => path.endsWith('.join'))!)

t.test('modes: the record and the socket are of this user alone', async (t) => {
  const { supervisor } = await serving(t, { clients: 0 })
  const modes = [recordOf(supervisor), meetingOf(supervisor)].map((path) => (lstatSync(path).mode & 0o777).toString(8))
  t.same(modes, ['600', '600'])
})

const DAMAGES: Record<string, (text: string) => string> = {
  'cut off': (text) => text.slice(0, -200),
  'of nonsense': () => 'nonsense',
  empty: () => '',
  'with a number changed': (text) => text.replace(/"generations":\d+/, '"generations":99'),
  'of a format that is not known': (text) => text.replace('"format":1', '"format":2'),
}

t.test('a damaged record is set aside, and the processes are found by their sockets', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  t.equal((await first.upgrade()).exitCode, 0)
  const { pid } = await ask(port)
  let supervisor = first
  for (const [name, damage] of Object.entries(DAMAGES)) {
    await supervisor.child.kill('SIGKILL')
    const path = recordOf(supervisor)
    const text = damage(readFileSync(path, 'utf8'))
    writeFileSync(path, text)
    supervisor = startSupervisor(t, { after: supervisor, command: stream() })
    await supervisor.child.line(/the record of the supervisor before is not used/)
    await supervisor.child.line(/"msg":"serving"/)
    t.match(await statusOf(supervisor), { generations: [{ generation: 2, pid, state: 'serving' }] }, name)
    t.equal(readFileSync(`${path}.damaged`, 'utf8'), text, 'it can be looked at')
    await load.progress()
  }
  t.match(await supervisor.upgrade(), { exitCode: 0, json: { from: { pid }, to: { generation: 3 } } })
  await load.finish()
  await endsInOrder(t, supervisor)
})

t.test('a record that others could have written is not read', async (t) => {
  const { supervisor: first, port } = await serving(t, { clients: 0 })
  const { pid } = await ask(port)
  await first.child.kill('SIGKILL')
  chmodSync(recordOf(first), 0o644)
  const second = startSupervisor(t, { after: first, command: stream() })
  await second.child.line(/is not used: it is not a file of this user's alone/)
  await second.child.line(/"msg":"serving"/)
  t.equal((await ask(port)).pid, pid)
  await endsInOrder(t, second)
})

t.test('a number that another process has by now: that one is left alone', async (t) => {
  const { supervisor: first, port } = await serving(t, { clients: 0 })
  const { pid } = await ask(port)
  await first.child.kill('SIGKILL')
  const bystander = startChild(t, 'sleep', ['1000'])
  const record = parseRecord(readFileSync(recordOf(first), 'utf8'))
  const processes = record.processes.map((row) => ({ ...row, pid: bystander.pid }))
  writeFileSync(recordOf(first), formatRecord({ ...record, processes }))
  const second = startSupervisor(t, { after: first, command: stream() })
  await second.child.line(/a process of the supervisor before is ended: process \d+ listens in its place/)
  await second.child.line(/"generation":2.*"msg":"serving"/)
  t.notOk(isRunning(pid), 'nobody serves beside its replacement')
  t.ok(isRunning(bystander.pid))
  await endsInOrder(t, second)
})

t.test('a socket whose listener is none of the processes of the supervisor before: it is left alone', async (t) => {
  const { supervisor: first, port } = await serving(t, { clients: 0 })
  const { pid } = await ask(port)
  await first.child.kill('SIGKILL')
  // As when who has listened is gone, a wrapper of its holds the socket, and its number is somebody else's.
  const addon = join(process.cwd(), 'build/Release/handover.node')
  const path = join(folderOf(first), '9.0.9.join')
  const script = `const b = require(${JSON.stringify(addon)}); b.listen(b.bindPacket(${JSON.stringify(path)}), 4)
  console.log('listens'); setInterval(() => undefined, 60000)`
  const bystander = startChild(t, process.execPath, ['-e', script])
  await bystander.line(/^listens$/)
  const second = await succeed(t, first)
  await second.child.line(new RegExp(`"pid":${bystander.pid},.*is none of its processes: left alone`))
  t.match(await statusOf(second), { generations: [{ generation: 1, pid, state: 'serving' }] })
  t.notOk(existsSync(path))
  t.ok(isRunning(bystander.pid))
  await endsInOrder(t, second)
  t.ok(isRunning(bystander.pid))
})

t.test('a record of before the machine was booted says nothing of processes', async (t) => {
  const { supervisor: first } = await serving(t, { clients: 0 })
  t.equal((await first.upgrade()).exitCode, 0)
  for (const { pid } of first.processes().sort((a, b) => b.pid - a.pid)) process.kill(pid, 'SIGKILL')
  await first.child.exited
  const record = parseRecord(readFileSync(recordOf(first), 'utf8'))
  const bystander = startChild(t, 'sleep', ['1000'])
  const processes = record.processes.map((row) => ({ ...row, pid: bystander.pid }))
  writeFileSync(recordOf(first), formatRecord({ ...record, processes, boot: 'another' }))
  const second = startSupervisor(t, { after: first, command: stream('--release', '7') })
  await second.child.line(/"generation":3,.*"release":"7".*"msg":"serving"/)
  t.match((await statusOf(second)).lastUpgrade, { id: 1, outcome: 'committed' }, 'what it knows of upgrades is kept')
  t.ok(isRunning(bystander.pid))
  await endsInOrder(t, second)
})

const notRoot = process.geteuid?.() !== 0 && 'only root can become somebody else'

t.test('a stranger is no supervisor: the kernel says whose process it is', { skip: notRoot }, async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  const { pid } = await ask(port)
  await first.child.kill('SIGKILL')
  const path = meetingOf(first)
  for (const each of [path, dirname(path), dirname(dirname(path)), first.directory]) chmodSync(each, 0o777)
  const addon = join(process.cwd(), 'build/Release/handover.node')
  const script = `const b = require(${JSON.stringify(addon)}); const fd = b.connectPacket(${JSON.stringify(path)})
  b.poll([fd], [1], 20000); const said = b.receive(fd, new Uint8Array(65536)); console.log(said.bytes)`
  const ids = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
  const { stdout, stderr } = spawnSync('setpriv', [...ids, process.execPath, '-e', script], {
    encoding: 'utf8',
    cwd: '/',
    env: cleanEnvironment(),
  })
  t.equal(stdout.trim(), '0', `it is hung up on, and told nothing ${stderr}`)
  for (const each of [dirname(path), dirname(dirname(path)), first.directory]) chmodSync(each, 0o700)
  const second = await succeed(t, first)
  t.match(await statusOf(second), { generations: [{ pid, state: 'serving' }] }, 'who may comes all the same')
  await load.progress()
  await load.finish()
  await endsInOrder(t, second)
})

t.test(
  'a program that does not join cannot be met: it is ended in its way, and started anew',
  { skip: NO_PYTHON },
  async (t) => {
    const { supervisor: first, port, pid } = await servingPython(t)
    const held = await hold(t, port)
    await first.child.kill('SIGKILL')
    const second = startSupervisor(t, {
      after: first,
      command: python('2'),
      options: ['--listen', `web=127.0.0.1:${port}`],
    })
    const [, , next] = await second.child.line(STARTED)
    t.notOk(isRunning(pid), 'it is gone before another one takes its address')
    t.not(Number(next), pid)
    held.socket.destroy()
    const fresh = await hold(t, port)
    t.match(await fresh.ask(), /2/)
    await endsInOrder(t, second)
  },
)
