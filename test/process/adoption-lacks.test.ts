/** What a supervisor itself lacks, or cannot do to one process, is not taken out on the others. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formatRecord, parseRecord } from '../../src/supervisor/record.js'
import { binding } from '../../src/sys/binding.js'
import { processRow } from '../../src/sys/process-tree.js'
import { isRunning, pathsUnder, processFact } from '../harness/census.js'
import { startChild } from '../harness/child.js'
import { ask } from '../harness/prober.js'
import { missing } from '../harness/programs.js'
import { serving, stream } from '../harness/stream.js'
import { endsInOrder, statusOf, succeed } from '../harness/succession.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const folderOf = ({ directory, name }: TestSupervisor): string => join(directory, 'handover', name)
const recordOf = (supervisor: TestSupervisor): string => join(folderOf(supervisor), 'record.json')
const isStopped = (pid: number) => until(() => processFact(pid)?.state === 'T', 'a process to stand still')

t.test('the runtime directory goes: what crashes is started again, and the end is in order', async (t) => {
  const { supervisor, port } = await serving(t, { clients: 0 })
  const { pid } = await ask(port)
  rmSync(supervisor.directory, { recursive: true })
  process.kill(pid, 'SIGKILL')
  await supervisor.child.line(/"generation":2,.*another supervisor will not find this process.*ENOENT/)
  await supervisor.child.line(/"generation":2.*"msg":"serving"/)
  t.match(await ask(port), { generation: 2 })
  t.same(await supervisor.child.kill('SIGTERM'), { code: 0, signal: null })
  t.same(supervisor.processes(), [])
})

t.test('too many wait at a socket that no record tells of: its process is waited for', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  const { pid } = await ask(port)
  process.kill(pid, 'SIGSTOP')
  await isStopped(pid)
  await first.child.kill('SIGKILL')
  writeFileSync(recordOf(first), 'nonsense')
  const meeting = pathsUnder(folderOf(first)).find((path) => path.endsWith('.join'))!
  const waiting: number[] = []
  t.throws(
    () => {
      for (;;) waiting.push(binding().connectPacket(join(folderOf(first), meeting)))
    },
    { code: 'EAGAIN' },
  )
  const second = startSupervisor(t, { after: first, command: stream() })
  await second.child.line(/the record of the supervisor before is not used/)
  // It answers once it has tried for the first time.
  while ((await statusOf(second)).generations === undefined);
  // Closed, they still wait to be accepted.
  for (const each of waiting) binding().close(each)
  process.kill(pid, 'SIGCONT')
  await second.child.line(/"msg":"serving"/)
  t.match(await statusOf(second), { generations: [{ generation: 1, pid, state: 'serving' }] })
  await load.progress()
  await load.finish()
  await endsInOrder(t, second)
})

t.test('one that can neither be met nor ended is not in the way of the others', async (t) => {
  const { supervisor: first, port, load } = await serving(t)
  const { pid } = await ask(port)
  await first.child.kill('SIGKILL')
  const bystander = startChild(t, 'sleep', ['1000'])
  const record = parseRecord(readFileSync(recordOf(first), 'utf8'))
  const [row] = record.processes
  const { startTime } = processRow(bystander.pid)
  const release = { ...row!.release, stopSignal: 'SIGNONE' as NodeJS.Signals }
  const other = { ...row!, number: 7, start: 7, pid: bystander.pid, startTime, release, notify: NOTIFY }
  writeFileSync(recordOf(first), formatRecord({ ...record, processes: [other, ...record.processes] }))
  const second = await succeed(t, first)
  await second.child.line(new RegExp(`"pid":${bystander.pid},.*could neither be taken over nor ended`))
  t.match(await statusOf(second), { generations: [{ generation: 1, pid, state: 'serving' }] })
  await load.progress()
  await load.finish()
  await endsInOrder(t, second)
})

const NOTIFY = '@handover/123e4567-e89b-12d3-a456-426614174000'

t.test(
  'a supervisor that can start nothing ends, with a status that says so',
  { skip: missing('prlimit', '--version') },
  async (t) => {
    const { supervisor: first, port } = await serving(t, { clients: 0 })
    const { pid } = await ask(port)
    process.kill(pid, 'SIGSTOP')
    await isStopped(pid)
    await first.child.kill('SIGKILL')
    const second = startSupervisor(t, { after: first, command: stream() })
    while ((await statusOf(second)).generations === undefined);
    spawnSync('prlimit', ['--pid', String(second.child.pid), '--nofile=1:1'])
    // It has waited for this one, and starts another in its place.
    process.kill(pid, 'SIGKILL')
    await second.child.line(/the first generation could not be started: .*EMFILE/)
    t.same(await second.child.exited, { code: 1, signal: null })
    t.notOk(isRunning(pid))
  },
)
