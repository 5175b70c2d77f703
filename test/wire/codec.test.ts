import { Encoder } from 'cbor-x'
import t, { type Test } from 'tap'
import { BAG } from '../../src/wire/bag.js'
import { decodeBody, encodeBody } from '../../src/wire/codec.js'
import { CONTROL, type MessageRow, type MessageTable, TRANSFER } from '../../src/wire/messages.js'
import { EXAMPLES } from './examples.js'

const tables: Record<string, MessageTable> = { CONTROL, TRANSFER, BAG }
const PARTIES = ['supervisor', 'runtime', 'predecessor', 'successor', 'keeper'] as const
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, tagUint8Array: false })

/** As encodeBody does, but of anything. */
const changed = (kind: unknown, fields: unknown): Buffer => encoder.encode([kind, fields])

const refuses = (
  t: Test,
  table: MessageTable,
  from: MessageRow['from'],
  body: Uint8Array,
  descriptors: number,
  why: RegExp,
  what?: string,
): unknown =>
  t.throws(
    () => decodeBody(table, from, body, descriptors),
    { name: 'HandoverError', code: 'HANDOVER_MESSAGE_INVALID', message: why },
    what ?? String(why),
  )

for (const [tableName, table] of Object.entries(tables)) {
  t.same(
    Object.keys(EXAMPLES[tableName]!).sort(),
    Object.keys(table).sort(),
    `every kind of ${tableName} has its examples`,
  )

  for (const [kind, row] of Object.entries(table)) {
    for (const [index, fields] of EXAMPLES[tableName]![kind]!.entries()) {
      const sessions = (fields['sessions'] as unknown[] | undefined)?.length ?? 0
      const descriptors =
        typeof row.descriptors === 'number' ? row.descriptors : sessions + (row.descriptors === 'sessions' ? 0 : 1)
      const body = changed(kind, fields)

      t.test(`${tableName} ${kind} ${index}`, async (t) => {
        t.same(encodeBody(kind, fields as never), body, 'written by encodeBody')
        t.same(decodeBody(table, row.from, body, descriptors), { kind, fields }, 'arrives as it was sent')
        for (const party of PARTIES) {
          if (party !== row.from)
            refuses(t, table, party, body, descriptors, new RegExp(`${party} may not send a message of kind "${kind}"`))
        }
        for (const wrong of [descriptors - 1, descriptors + 1]) {
          if (wrong >= 0)
            refuses(
              t,
              table,
              row.from,
              body,
              wrong,
              new RegExp(`"${kind}" needs ${descriptors} descriptors, ${wrong} came`),
            )
        }
        t.same(
          decodeBody(table, row.from, changed(kind, { ...fields, fieldOfTomorrow: 1 }), descriptors),
          { kind, fields },
          'an unknown field is dropped',
        )
        for (const name of Object.keys(fields)) {
          const { [name]: _gone, ...rest } = fields
          refuses(
            t,
            table,
            row.from,
            changed(kind, rest),
            descriptors,
            new RegExp(`"${kind}": (${name}|its fields)`),
            `${name} is missing`,
          )
          for (const wrong of wrongFor(fields[name])) {
            refuses(
              t,
              table,
              row.from,
              changed(kind, { ...fields, [name]: wrong }),
              descriptors,
              new RegExp(`"${kind}": ${name}`),
              `${name}: ${String(wrong)}`,
            )
          }
        }
        for (const wrong of [null, 1, 'fields', [], undefined].filter(
          (value) => !(Array.isArray(value) && Object.keys(fields).length === 0),
        )) {
          refuses(
            t,
            table,
            row.from,
            changed(kind, wrong),
            descriptors,
            new RegExp(`"${kind}"`),
            `fields are ${JSON.stringify(wrong)}`,
          )
        }
      })
    }
  }
}

/** Values that are wrong wherever the good one is right, by its type. */
function wrongFor(good: unknown): unknown[] {
  if (typeof good === 'number') return [-1, Number.NaN, '1', 1n, null, {}]
  if (typeof good === 'boolean') return [1, 'true', null, {}]
  if (typeof good === 'string') return [1, true, {}, 'x'.repeat(5000)]
  if (good instanceof Uint8Array) return ['bytes', [1], null]
  if (Array.isArray(good)) return [null, 1, {}, [null], [typeof good[0] === 'number' ? '1' : 1], [{}], [[]]]
  return [1, true, []]
}

t.test('what is no [kind, fields]', async (t) => {
  for (const value of [null, 1, 'offer', {}, [], ['offer'], ['offer', {}, {}]]) {
    refuses(t, TRANSFER, 'predecessor', encoder.encode(value), 0, /it is not \[kind, fields\]/, JSON.stringify(value))
  }
})

t.test('kinds that are none, whatever they are', async (t) => {
  for (const kind of ['', 'nonsense', 'toString', '__proto__', 'constructor']) {
    refuses(t, TRANSFER, 'successor', changed(kind, {}), 0, new RegExp(`may not send a message of kind "${kind}"`))
  }
  for (const kind of [1, null, undefined, true, {}, [], 1n, 2n ** 63n, 1.5, Buffer.from('offer')]) {
    refuses(
      t,
      TRANSFER,
      'successor',
      changed(kind, {}),
      0,
      /may not send a message of kind \w+/,
      `a kind of type ${typeof kind}`,
    )
  }
})

t.test('what a peer wrote is quoted, but not at length', async (t) => {
  const long = 'x'.repeat(1_000_000)
  for (const body of [changed(long, {}), changed('accept', { protocol: long, sessions: [], states: [] })]) {
    const error = t.throws(() => decodeBody(TRANSFER, 'successor', body, 0)) as unknown as Error
    t.ok(error.message.length < 600, `${error.message.length} characters`)
  }
})

t.test('a record whose checksum is none is refused here, not where it is used', async (t) => {
  const record = [1, 0, Buffer.from('x'), 2 ** 32, null]
  refuses(t, TRANSFER, 'predecessor', changed('batch', { index: 0, sessions: [record] }), 1, /"batch": sessions\.0/)
})

t.test('a batch: at least one session, at most 128', async (t) => {
  const record = [1, 0, Buffer.from('x'), 1, null]
  const batch = (length: number): Buffer =>
    changed('batch', { index: 0, sessions: Array.from({ length }, () => record) })
  refuses(t, TRANSFER, 'predecessor', batch(0), 0, /"batch": sessions/)
  t.doesNotThrow(() => decodeBody(TRANSFER, 'predecessor', batch(128), 128))
  refuses(t, TRANSFER, 'predecessor', batch(129), 129, /"batch": sessions/)
})

t.test('a body cut off at every byte, and one too long', async (t) => {
  const body = encodeBody<typeof TRANSFER, 'batch'>('batch', {
    index: 3,
    sessions: [[1, 0, Buffer.from('state'), 1, { unread: Buffer.from('a'), paused: false, peer: null, at: 1.5 }]],
  })
  for (let length = 0; length < body.length; length++)
    refuses(t, TRANSFER, 'predecessor', body.subarray(0, length), 1, /CBOR cannot be read/)
  refuses(t, TRANSFER, 'predecessor', Buffer.concat([body, Buffer.of(0)]), 1, /1 bytes follow/)
})
