/** What a supervisor remembers: read only when every part of it is right; and held by one at a time. */
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Memory } from '../../src/supervisor/memory.js'
import { formatRecord, parseRecord, RecordFile, type SupervisorRecord } from '../../src/supervisor/record.js'
import { Rendezvous } from '../../src/supervisor/rendezvous.js'
import { Supervisor } from '../../src/supervisor/supervisor.js'
import { binding } from '../../src/sys/binding.js'
import type { Teardown } from '../harness/child.js'
import { stream } from '../harness/stream.js'

const release = { command: ['node', 'server.js'], cwd: '/srv', stopSignal: 'SIGQUIT' as const }
const target = { release, running: release }
const RECORD: SupervisorRecord = {
  boot: 'b',
  generations: 3,
  starts: 4,
  upgrades: 2,
  workers: 1,
  target,
  own: [{ worker: 0, target }],
  under: [
    {
      id: 2,
      number: 3,
      worker: null,
      workers: 1,
      target,
      startedAt: '2026-01-01T00:00:00.000Z',
      from: { generation: 2, release: '1', node: '24.0.0', pid: 7 },
      isCommitted: null,
    },
  ],
  lastUpgrade: null,
  processes: [
    {
      number: 2,
      worker: 0,
      workers: 1,
      start: 2,
      release,
      pid: 7,
      startTime: '12345',
      notify: '@handover/123e4567-e89b-12d3-a456-426614174000',
      startedAtMs: 1.5,
      drainUntilMs: null,
    },
  ],
}

function folder(t: Teardown): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-record-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const ignore = () => undefined
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

t.test('what is written is read', async (t) => {
  t.same(parseRecord(formatRecord(RECORD)), RECORD)
  const file = new RecordFile(folder(t))
  t.equal(file.read(), undefined)
  file.write(RECORD)
  file.write({ ...RECORD, starts: 5 })
  t.same(file.read(), { ...RECORD, starts: 5 })
})

t.test('anything else is refused, with what is wrong', async (t) => {
  const with_ = (change: object): string => formatRecord({ ...RECORD, ...change } as SupervisorRecord)
  const row = RECORD.processes[0]!
  const cases: [string, RegExp][] = [
    ['', /no JSON/],
    ['null', /format/],
    ['[]', /format/],
    ['{"format":1}', /./],
    [formatRecord(RECORD).slice(0, -1), /no JSON/],
    [formatRecord(RECORD).replace('"starts":4', '"starts":5'), /checksum/],
    [with_({ workers: 0 }), /workers/],
    [with_({ starts: -1 }), /starts/],
    [with_({ starts: '4' }), /starts/],
    [with_({ target: { release, running: { ...release, command: [] } } }), /command/],
    [with_({ processes: [{ ...row, pid: 0 }] }), /pid/],
    [with_({ processes: [{ ...row, startTime: '-1' }] }), /startTime/],
    [with_({ processes: [{ ...row, notify: '/run/notify' }] }), /notify/],
    [with_({ processes: 'x' }), /processes/],
  ]
  for (const [text, wrong] of cases) t.throws(() => parseRecord(text), { message: wrong }, text.slice(0, 40))
})

t.test('a link, or a file that others may read, is not followed', async (t) => {
  const path = folder(t)
  const file = new RecordFile(path)
  const elsewhere = join(path, 'elsewhere')
  writeFileSync(elsewhere, formatRecord(RECORD), { mode: 0o600 })
  symlinkSync(elsewhere, join(path, 'record.json'))
  t.throws(() => file.read(), { code: 'ELOOP' })
  file.write({ ...RECORD, starts: 9 })
  t.match(readFileSync(elsewhere, 'utf8'), /"starts":4/, 'nor written through')
  chmodSync(join(path, 'record.json'), 0o640)
  t.throws(() => file.read(), { message: /not a file of this user's alone/ })
})

t.test('one at a time', async (t) => {
  const path = join(folder(t), 'name')
  const memory = Memory.open(path, logger)
  t.throws(() => Memory.open(path, logger), { code: 'HANDOVER_NAME_TAKEN' })
  const release = { command: stream(), cwd: process.cwd() }
  await t.rejects(new Supervisor({ release, directory: path }).start(), { code: 'HANDOVER_NAME_TAKEN' })
  memory.write(RECORD)
  t.equal(memory.read(), undefined, 'nothing is written before what there was is known')
  memory.begin()
  memory.write(RECORD)
  t.same(memory.read(), RECORD)
  binding().close(memory.rendezvous.open({ number: 1, worker: 0, start: 1 }))
  memory.close()
  t.notOk(existsSync(path), 'nothing is left')
})

t.test('the name of a socket says whose it is', async (t) => {
  const path = folder(t)
  const rendezvous = new Rendezvous(path)
  const names = [
    { number: 1, worker: 0, start: 1 },
    { number: 12_345, worker: 255, start: 1_000_000 },
  ]
  for (const name of names) binding().close(rendezvous.open(name))
  writeFileSync(join(path, 'other.join'), '')
  t.same(
    rendezvous.all().sort((a, b) => a.start - b.start),
    names,
  )
  t.equal(rendezvous.connect(names[0]!), undefined, 'nobody listens')
  for (const name of names) rendezvous.close(name)
  t.same(rendezvous.all(), [])
  t.equal(rendezvous.connect(names[0]!), undefined, 'there is none')
})

t.test('an error that is not of who is met does not say that it is gone', async (t) => {
  const path = folder(t)
  const name = { number: 1, worker: 0, start: 1 }
  // Another sort of socket stands for what connect(2) may fail with: no descriptor, no memory, no right.
  const server = createServer().listen(join(path, '1.0.1.join'))
  t.teardown(() => server.close())
  await once(server, 'listening')
  t.throws(() => new Rendezvous(path).connect(name), { code: 'EPROTOTYPE' })
})

t.test('a directory whose path is too long: it is said, and what cannot be is not', async (t) => {
  const warnings: string[] = []
  const parent = folder(t)
  const path = join(parent, 'x'.repeat(96 - Buffer.byteLength(parent) - 1))
  const memory = Memory.open(path, { ...logger, warn: (_, message) => warnings.push(message) })
  t.match(warnings, [/too long by 11 bytes/])
  binding().close(memory.rendezvous.open({ number: 1, worker: 0, start: 1 }))
  const later = { number: 36, worker: 0, start: 36 }
  t.throws(() => memory.rendezvous.open(later), { code: 'ENAMETOOLONG' })
  t.equal(memory.rendezvous.connect(later), undefined)
  memory.begin()
  memory.close()
  t.notOk(existsSync(path))
})

t.test('what could not be taken over is left for the next supervisor', async (t) => {
  const path = join(folder(t), 'name')
  const name = { number: 1, worker: 0, start: 1 }
  const before = Memory.open(path, logger)
  before.begin()
  before.write(RECORD)
  binding().close(before.rendezvous.open(name))
  const written = readFileSync(join(path, 'record.json'), 'utf8')
  before.close()
  mkdirSync(path, { mode: 0o700, recursive: true })
  writeFileSync(join(path, 'record.json'), written, { mode: 0o600 })
  binding().close(new Rendezvous(path).open(name))
  const failed = Memory.open(path, logger)
  failed.close()
  const next = Memory.open(path, logger)
  t.same(next.read(), RECORD)
  t.same(next.rendezvous.all(), [name])
  next.begin()
  next.close()
})

t.test('a directory that is gone ends in order', async (t) => {
  const path = join(folder(t), 'name')
  const memory = Memory.open(path, logger)
  memory.begin()
  rmSync(path, { recursive: true })
  t.throws(() => memory.rendezvous.open({ number: 1, worker: 0, start: 1 }), { code: 'ENOENT' })
  memory.close()
})
