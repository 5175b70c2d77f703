/** The row that describes a socket: there and back, and nothing else is taken. */
import fc from 'fast-check'
import t from 'tap'
import { type Described, fromRow, toRow } from '../../src/adapters/net/record.js'

const LENGTH = 11
const BOTH_FLAGS_AND_TYPE = 1 << 9
const count = fc.maxSafeNat()
const bytes = fc.uint8Array({ maxLength: 32 }).map((array) => Buffer.from(array))
const time = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((ms) => ms + 0)

const described: fc.Arbitrary<Described> = fc.record(
  {
    allowHalfOpen: fc.boolean(),
    readEnded: fc.boolean(),
    writeEnded: fc.boolean(),
    finSent: fc.boolean(),
    paused: fc.boolean(),
    unrefed: fc.boolean(),
    noDelay: fc.boolean(),
    keepAlive: fc.boolean(),
    keepAliveSeconds: fc.maxSafeInteger(),
    type: fc.constantFrom('TCP' as const, 'Pipe' as const),
    timeoutMs: time,
    idleAtMs: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
    bytesRead: count,
    bytesWritten: count,
    peer: fc.option(fc.record({ address: fc.string(), port: count, family: fc.string() }, { noNullPrototype: true })),
    unread: bytes,
    unsent: bytes,
  },
  { noNullPrototype: true },
)

t.test('there and back, every flag by itself', async (t) => {
  fc.assert(
    fc.property(described, (one) => {
      const row = toRow(one)
      t.strictSame(fromRow(row), one)
      t.equal(row.length, LENGTH)
    }),
    { numRuns: 300 },
  )
})

const VALID = fc.sample(described, { numRuns: 1, seed: 1 }).map(toRow)[0]!
const BAD: readonly (readonly [string, (row: unknown[]) => unknown])[] = [
  ['nothing', () => undefined],
  ['null', () => null],
  ['text', () => 'x'.repeat(LENGTH)],
  ['an object like a row', (row) => ({ ...row, length: LENGTH })],
  ['a place too few', (row) => row.slice(1)],
  ['a place too many', (row) => [...row, null]],
  ...[-1, 0.5, BOTH_FLAGS_AND_TYPE, Number.NaN, '1', null, undefined, 1n].map(
    (flags) => [`flags ${String(flags)}`, (row: unknown[]) => row.with(0, flags)] as const,
  ),
  ...[1, 3, 4, 5, 7].flatMap((place) =>
    [Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, {}, 1n].map(
      (value) => [`${String(value)} in place ${place}`, (row: unknown[]) => row.with(place, value)] as const,
    ),
  ),
  ...[1, 3, 4, 7].map((place) => [`-1 in place ${place}`, (row: unknown[]) => row.with(place, -1)] as const),
  ...[3, 4, 5, 7].map((place) => [`0.5 in place ${place}`, (row: unknown[]) => row.with(place, 0.5)] as const),
  ...['soon', Number.NaN, Number.POSITIVE_INFINITY, undefined, {}, [1]].map(
    (at) => [`idle at ${String(at)}`, (row: unknown[]) => row.with(2, at)] as const,
  ),
  ['an address without a family', (row) => row.with(6, '::1').with(8, null)],
  ['a family without an address', (row) => row.with(6, null).with(7, 0).with(8, 'IPv4')],
  ['a port without an address', (row) => row.with(6, null).with(7, 80).with(8, null)],
  ['an address that is none', (row) => row.with(6, 1).with(7, 80).with(8, 'IPv4')],
  ...[9, 10].flatMap((place) =>
    ['bytes', [1], undefined, 0, new Uint16Array(1)].map(
      (value) => [`no bytes in place ${place}`, (row: unknown[]) => row.with(place, value)] as const,
    ),
  ),
]

const refused = (row: unknown): unknown => {
  try {
    return fromRow(row)
  } catch (error) {
    return error
  }
}
const REFUSAL = { name: 'HandoverError', code: 'HANDOVER_MESSAGE_INVALID', message: /the description of a socket/ }

t.test('every wrong row is refused by name', async (t) => {
  t.doesNotThrow(() => fromRow(VALID))
  for (const [name, spoil] of BAD) t.match(refused(spoil([...VALID])), REFUSAL, name)
})

t.test('whatever comes, it is a description, or an error of ours', async (t) => {
  const places = fc.array(fc.anything({ withBigInt: true, withTypedArray: true }), { maxLength: 13 })
  const spoilt = fc
    .tuple(described.map(toRow), fc.nat(LENGTH - 1), fc.anything())
    .map(([row, place, value]) => row.with(place, value))
  let taken = 0
  fc.assert(
    fc.property(fc.oneof(fc.anything(), places, spoilt), (row) => {
      const result = refused(row)
      if (result instanceof Error) t.match(result, REFUSAL)
      else {
        taken++
        t.strictSame(fromRow(toRow(result as Described)), result, 'what is taken is a description')
      }
    }),
    { numRuns: 1000 },
  )
  t.ok(taken > 0, 'some of them are rows after all')
})
