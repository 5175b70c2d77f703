import t from 'tap'
import { Ledger } from '../../src/transfer/ledger.js'
import type { Part } from '../../src/transfer/types.js'

const batch = (...sessions: [id: number, checksum: number][]): Part => ({
  kind: 'batch',
  records: sessions.map(([id, checksum]) => [id, 0, checksum === 0 ? null : Buffer.from('x'), checksum, {}]),
  descriptors: [],
})
const update = (id: number, checksum: number): Part => ({
  kind: 'update',
  changes: [[id, Buffer.from('y'), checksum, null]],
})
const digestOf = (...parts: Part[]): number => {
  const ledger = new Ledger()
  for (const part of parts) t.equal(ledger.note(part), undefined)
  return ledger.digest
}

t.test('the digest tells which sessions there are, with which state, whatever the way there', async (t) => {
  const end = digestOf(batch([1, 10], [2, 20]))
  t.equal(digestOf(batch([2, 20]), batch([1, 10])), end, 'in another order')
  t.equal(digestOf(batch([1, 0], [2, 0]), update(2, 20), update(1, 10)), end, 'bare first')
  t.equal(
    digestOf(batch([1, 99], [2, 20], [3, 30]), { kind: 'gone', ids: [3] }, update(1, 10)),
    end,
    'changed, and one gone',
  )
  t.equal(
    digestOf(batch([1, 10], [2, 20]), { kind: 'update', changes: [[1, null, 0, {}]] }),
    end,
    'only its socket changed',
  )
  for (const other of [
    digestOf(batch([1, 10])),
    digestOf(batch([1, 20], [2, 10])),
    digestOf(batch([1, 10], [2, 21])),
    digestOf(batch([1, 10], [3, 20])),
  ])
    t.not(other, end)
})

t.test('what cannot follow on what came before is said', async (t) => {
  const ledger = new Ledger()
  ledger.note(batch([1, 10]))
  t.match(ledger.note(batch([1, 11])), /session 1 came twice/)
  t.match(ledger.note(update(2, 5)), /session 2 changed before it came/)
  t.match(ledger.note({ kind: 'gone', ids: [3] }), /session 3 ended before it came/)
  t.equal(ledger.note({ kind: 'gone', ids: [1] }), undefined)
  t.same([ledger.sessions, ledger.digest, ledger.parts], [0, 0, 5])
})

t.test('what is dropped was never there, and what was under way of it is passed over', async (t) => {
  const ledger = new Ledger()
  ledger.note(batch([1, 10], [2, 20], [3, 30]))
  ledger.drop([2, 3])
  t.equal(ledger.note(update(2, 21)), undefined)
  t.equal(ledger.note({ kind: 'gone', ids: [3] }), undefined)
  t.equal(ledger.digest, digestOf(batch([1, 10])))
  t.equal(ledger.sessions, 1)
  const late = new Ledger()
  const parts: Part[] = [batch([1, 10], [2, 20], [3, 30]), update(2, 21), { kind: 'gone', ids: [3] }]
  for (const part of parts) late.note(part)
  late.drop([2, 3])
  t.same([late.digest, late.sessions], [ledger.digest, 1], 'the other side, which hears of it later')
})
