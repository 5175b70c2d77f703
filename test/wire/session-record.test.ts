import t from 'tap'
import { digestSession, isSessionRecord, type SessionRecord } from '../../src/wire/session-record.js'

const valid: SessionRecord = [7, 0, Buffer.from('state'), 0xffffffff, { any: 'thing' }]
const changed = (index: number, value: unknown): unknown[] => valid.map((field, at) => (at === index ? value : field))

t.test('a record', async (t) => {
  t.ok(isSessionRecord(valid))
  t.ok(isSessionRecord(changed(4, undefined)), 'what the transport says is its own affair')
})

const WRONG: Record<string, unknown> = {
  'not an array': { ...valid, length: 5 },
  null: null,
  'a field too few': valid.slice(0, 4),
  'a field too many': [...valid, 1],
  'an id that is no integer': changed(0, 1.5),
  'an id as a bigint': changed(0, 7n),
  'a kind below 0': changed(1, -1),
  'a kind that is no integer': changed(1, 'chat'),
  'a state that is no bytes': changed(2, 'state'),
  'a checksum below 0': changed(3, -1),
  'a checksum of more than 32 bits': changed(3, 2 ** 32),
  'a checksum that is no integer': changed(3, 0.5),
}

for (const [name, value] of Object.entries(WRONG)) {
  t.test(`refused: ${name}`, async (t) => t.notOk(isSessionRecord(value)))
}

t.test('the digest tells which sessions there are, in which order, with which state', async (t) => {
  const digest = (...records: SessionRecord[]): number => records.reduce(digestSession, 0)
  const other: SessionRecord = [8, 0, Buffer.from('state'), 1, null]
  const both = digest(valid, other)
  t.equal(both, digest(valid, other))
  t.not(both, digest(other, valid))
  t.not(both, digest(valid))
  t.not(both, digest(valid, changed(3, 2) as unknown as SessionRecord))
  t.not(both, digest(valid, [9, 0, other[2], 1, null]))
})

t.test('every record that is let through has a digest', async (t) => {
  for (const id of [Number.MIN_SAFE_INTEGER, 0, Number.MAX_SAFE_INTEGER]) {
    for (const checksum of [0, 2 ** 31, 2 ** 32 - 1]) {
      const record = changed(3, checksum)
      record[0] = id
      t.ok(isSessionRecord(record))
      t.type(digestSession(0, record as unknown as SessionRecord), 'number')
    }
  }
})
