/** Arbitrary values and arbitrary bytes. A failure prints its seed and the smallest case; pass both to `check` to see it again. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { HandoverError } from '../../src/errors.js'
import { BAG } from '../../src/wire/bag.js'
import { decodeCbor } from '../../src/wire/cbor.js'
import { decodeBody, encodeBody } from '../../src/wire/codec.js'
import { openState, sealState } from '../../src/wire/envelope.js'
import { HEADER_BYTES, readHeader, writeHeader } from '../../src/wire/frame.js'
import { CONTROL, type MessageRow, type MessageTable, TRANSFER } from '../../src/wire/messages.js'
import { EXAMPLES } from './examples.js'
import { graph, plain } from './plain-values.js'
import { difference } from './same.js'

/** What runs in this time has run; fast-check throws with seed, path and counterexample. */
const LIMIT_MS = 2500

function check<T>(t: Test, arbitrary: fc.Arbitrary<T>, property: (value: T) => void, runs = 2000): void {
  const result = fc.check(fc.property(arbitrary, property), { numRuns: runs, interruptAfterTimeLimit: LIMIT_MS })
  t.notOk(result.failed, fc.defaultReportMessage(result) ?? `${result.numRuns} runs, seed ${result.seed}`)
  t.ok(result.numRuns > 20, `${result.numRuns} runs in ${LIMIT_MS} ms`)
}

/** Runs what may refuse; anything thrown but a HandoverError of ours fails the property, with its stack. */
function mayRefuse(run: () => unknown): boolean {
  try {
    run()
    return true
  } catch (error) {
    if (error instanceof HandoverError) return false
    throw error
  }
}

const sealed = (bytes: Uint8Array) => ({ bytes, checksum: crc32(bytes) })
const canary = { map: new Map([['a', { b: [1] }]]), after: { c: 1 } }

function assertSame(sent: unknown, got: unknown): void {
  const where = difference(sent, got)
  if (where !== undefined) throw new Error(`differs at ${where}`)
}

t.test('plain values arrive as they were sent', async (t) => {
  check(t, plain, (value) => assertSame(value, openState(sealState(value))))
})

t.test('any net of objects, arrays, Maps and Sets arrives as that net', async (t) => {
  check(t, graph, (value) => assertSame(value, openState(sealState(value))))
})

/** Bytes like those of a real encoding, with some of them wrong, cut out, doubled or cut off. */
const mutated = (original: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      original,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat(3)), { minLength: 1, maxLength: 4 }),
    )
    .map(([bytes, changes]) => {
      let result = Buffer.from(bytes)
      for (const [where, value, how] of changes) {
        const at = where % (result.length + 1)
        if (how === 0) result = Buffer.concat([result.subarray(0, at), Buffer.of(value), result.subarray(at + 1)])
        else if (how === 1) result = Buffer.concat([result.subarray(0, at), Buffer.of(value), result.subarray(at)])
        else if (how === 2) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1)])
        else result = Buffer.from(result.subarray(0, at))
      }
      return result
    })

const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
const anyState = fc.oneof(
  noise,
  mutated(plain.map((value) => sealState(value).bytes)),
  mutated(graph.map((value) => sealState(value).bytes)),
)

t.test('openState of anything: a value or a HandoverError, and the next one is read as ever', async (t) => {
  let opened = 0
  check(
    t,
    anyState,
    (bytes) => {
      if (mayRefuse(() => openState(sealed(bytes)))) opened++
      assertSame(canary, openState(sealState(canary)))
    },
    5000,
  )
  t.ok(opened > 20, `${opened} of them could be read`)
})

t.test('what a state was read from can be sealed again: nothing comes in that is not plain', async (t) => {
  check(
    t,
    anyState,
    (bytes) => {
      let state: unknown
      if (mayRefuse(() => (state = openState(sealed(bytes))))) sealState(state)
    },
    5000,
  )
})

t.test('memory is bounded by the bytes: no list is longer than its input', async (t) => {
  check(
    t,
    fc.tuple(noise, fc.constantFrom('state' as const, 'message' as const)),
    ([bytes, content]) => {
      let value: unknown
      if (!mayRefuse(() => (value = decodeCbor(bytes, { depth: 50, items: 300, content })))) return
      const longest =
        value instanceof Map || value instanceof Set
          ? value.size
          : Array.isArray(value) || ArrayBuffer.isView(value)
            ? (value as unknown[]).length
            : 0
      if (longest > bytes.length) throw new Error(`${longest} from ${bytes.length} bytes`)
    },
    5000,
  )
})

const anyHeader = fc.record({
  external: fc.boolean(),
  descriptors: fc.nat(0xffff),
  sequence: fc.nat(0xffffffff),
  length: fc.nat(300),
})

t.test('readHeader of anything', async (t) => {
  const framed = anyHeader.map((header) => {
    const message = Buffer.alloc(HEADER_BYTES + (header.external ? 0 : header.length))
    writeHeader(message, header)
    return message
  })
  check(
    t,
    fc.tuple(fc.oneof(noise, mutated(framed)), fc.nat(300), fc.nat(3)),
    ([message, received, expected]) => void mayRefuse(() => readHeader(message, received, expected)),
    5000,
  )
})

t.test('any header is read as it was written', async (t) => {
  check(t, anyHeader, (header) => {
    const message = Buffer.alloc(HEADER_BYTES + (header.external ? 0 : header.length))
    writeHeader(message, header)
    assertSame(header, readHeader(message, header.descriptors + (header.external ? 1 : 0), header.sequence))
  })
})

t.test('decodeBody of anything', async (t) => {
  const tables: Record<string, MessageTable> = { CONTROL, TRANSFER, BAG }
  const bodies = Object.entries(EXAMPLES).flatMap(([table, kinds]) =>
    Object.entries(kinds).flatMap(([kind, examples]) =>
      examples.map((fields) => ({
        table: tables[table]!,
        from: tables[table]![kind]!.from,
        body: encodeBody(kind, fields as never),
      })),
    ),
  )
  const pairs = fc.tuple(plain, plain).map((pair) => sealState(pair).bytes)
  const cases = fc
    .constantFrom(...bodies)
    .chain(({ table, from, body }) =>
      fc.tuple(
        fc.constant(table),
        fc.constant<MessageRow['from']>(from),
        fc.oneof(noise, pairs, mutated(fc.constant(body))),
      ),
    )
  check(
    t,
    fc.tuple(cases, fc.nat(4)),
    ([[table, from, body], descriptors]) => void mayRefuse(() => decodeBody(table, from, body, descriptors)),
    5000,
  )
})
