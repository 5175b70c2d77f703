import t from 'tap'
import { isSessionRecord, isSessionUpdate, type SessionRecord } from '../../src/wire/session-record.js'

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

t.test('a record without its state yet', async (t) => {
  t.ok(isSessionRecord([7, 0, null, 0, {}]))
  t.notOk(isSessionRecord([7, 0, null, 5, {}]), 'nothing has no checksum')
  t.notOk(isSessionRecord([7, 0, undefined, 0, {}]))
})

t.test('an update', async (t) => {
  t.ok(isSessionUpdate([7, Buffer.from('state'), 1, null]))
  t.ok(isSessionUpdate([7, null, 0, { paused: true }]))
  for (const wrong of [
    [7, null, 1, {}],
    [7.5, null, 0, {}],
    [7, 'state', 1, {}],
    [7, null, 0],
    [7, null, 0, {}, 1],
    null,
  ]) {
    t.notOk(isSessionUpdate(wrong), JSON.stringify(wrong))
  }
})
