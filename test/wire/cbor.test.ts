import t, { type Test } from 'tap'
import { type CborLimits, decodeCbor } from '../../src/wire/cbor.js'
import { sealState } from '../../src/wire/envelope.js'

const STATE: CborLimits = { depth: 20, items: 1000, content: 'state' }
const MESSAGE: CborLimits = { ...STATE, content: 'message' }

const read = (bytes: readonly number[] | Uint8Array, limits = STATE): unknown =>
  decodeCbor(Uint8Array.from(bytes), limits)

const refuses = (t: Test, bytes: readonly number[] | Uint8Array, why: RegExp, limits = STATE): unknown =>
  t.throws(
    () => read(bytes, limits),
    { name: 'HandoverError', code: 'HANDOVER_MESSAGE_INVALID', message: why },
    Buffer.from(bytes).toString('hex').slice(0, 40),
  )

t.test('examples of RFC 8949, appendix A', async (t) => {
  const examples: [hex: string, value: unknown][] = [
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['20', -1],
    ['3863', -100],
    ['3903e7', -1000],
    ['fa47c35000', 100_000],
    ['fb3ff199999999999a', 1.1],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['f7', undefined],
    ['60', ''],
    ['6449455446', 'IETF'],
    ['62c3bc', 'ü'],
    ['64f0908591', '\u{10151}'],
    ['80', []],
    ['83010203', [1, 2, 3]],
    ['a0', {}],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['c249010000000000000000', 2n ** 64n],
    ['c349010000000000000000', -(2n ** 64n) - 1n],
    ['c11a514b67b0', new Date(1363896240000)],
    ['c1fb41d452d9ec200000', new Date(1363896240500)],
  ]
  for (const [hex, value] of examples) t.strictSame(read(Buffer.from(hex, 'hex')), value, hex)
})

t.test('an integer of eight bytes is a bigint', async (t) => {
  t.equal(read([0x1b, 0, 0, 0, 0, 0, 0, 0, 5]), 5n)
  t.equal(read([0x3b, 255, 255, 255, 255, 255, 255, 255, 255]), -(2n ** 64n))
})

t.test('cut off at every byte', async (t) => {
  const cycle = new Map<unknown, unknown>([['a', [1, -5000, 2n ** 70n, 1.5]]])
  cycle.set(cycle, {
    date: new Date(1.5),
    set: new Set(['x'.repeat(30)]),
    regExp: /a/g,
    bytes: Buffer.from('b'),
    floats: new Float64Array(2),
    flag: true,
  })
  const { bytes } = sealState(cycle)
  t.doesNotThrow(() => read(bytes))
  for (let length = 0; length < bytes.length; length++)
    refuses(t, bytes.subarray(0, length), /middle of an item|are left|than what is left/)
})

t.test('bytes that follow', async (t) => {
  refuses(t, [0x01, 0x00], /1 bytes follow the item/)
  refuses(t, [0x80, 0x80, 0x80], /2 bytes follow the item/)
})

t.test('a count is not believed', async (t) => {
  const four = [0xff, 0xff, 0xff, 0xff]
  const wider = { ...STATE, items: Number.MAX_SAFE_INTEGER }
  for (const initial of [0x9a, 0xba])
    refuses(t, [initial, ...four, 0x00], /a count of 4294967295 is more than what is left can hold/, wider)
  for (const initial of [0x9b, 0xbb])
    refuses(t, [initial, ...four, ...four, 0x00], /a count of 18446744073709552000 is more/, wider)
  for (const initial of [0x5a, 0x7a])
    refuses(t, [initial, ...four, 0x00], /4294967295 bytes are due where 1 are left/, wider)
  for (const initial of [0x5b, 0x7b]) refuses(t, [initial, ...four, ...four], /bytes are due where 0 are left/, wider)
  refuses(t, [0xd9, 0x01, 0x02, 0x9a, ...four], /a count of 4294967295/, wider)
  refuses(t, [0xd9, 0x01, 0x03, 0xba, ...four], /a count of 4294967295/, wider)
  refuses(t, [0xa2, 0x61, 0x61, 0x01], /a count of 2 is more/)
})

t.test('nesting, up to the limit and beyond', async (t) => {
  const limits = { ...STATE, depth: 3 }
  for (const [name, level] of Object.entries({ array: [0x81], map: [0xa1, 0x61, 0x61], tag: [0xd8, 28] })) {
    const deep = (levels: number): number[] => [...Array.from({ length: levels }, () => level).flat(), 0x01]
    t.doesNotThrow(() => read(deep(3), limits), name)
    refuses(t, deep(4), /nested too deep/, limits)
    refuses(t, deep(10_000), /nested too deep/, limits)
  }
})

t.test('a hundred thousand items are not begun when a thousand are allowed', async (t) => {
  refuses(t, [0x9a, 0, 1, 0, 0, ...new Uint8Array(65_536).fill(0xa0)], /too many items/)
  t.equal((read([0x99, 0x03, 0xe7, ...new Uint8Array(999).fill(0xa0)]) as unknown[]).length, 999)
  refuses(t, [0x99, 0x03, 0xe8, ...new Uint8Array(1000).fill(0xa0)], /too many items/)
})

t.test('lengths that are not said, and types that are reserved', async (t) => {
  for (let major = 0; major < 8; major++) {
    for (const info of [28, 29, 30, 31])
      refuses(t, [(major << 5) | info, 0x01, 0xff], /item type 0x[0-9a-f]+ is not allowed/)
  }
  for (const initial of [0xe0, 0xf0, 0xf3, 0xf8, 0xf9])
    refuses(t, [initial, 0, 0, 0, 0, 0, 0, 0, 0], /item type 0x[0-9a-f]+ is not allowed/)
})

t.test('of a thousand tags only those of plain data', async (t) => {
  const contents = [0x01, 0x40, 0x80, 0xa0].map((byte) => [byte])
  const known = Array.from({ length: 1024 }, (_, tag) => tag).filter((tag) =>
    contents.some((content) => isRead(tag, content)),
  )
  t.same(known, [1, 2, 3, 28, 64, 68, 69, 70, 71, 72, 77, 78, 79, 85, 86, 258, 259])
  refuses(t, [0xdb, 0, 0, 0, 1, 0, 0, 0, 1, 0x01], /tag 4294967297 is not allowed/)

  function isRead(tag: number, content: number[]): boolean {
    try {
      read([0xd9, tag >> 8, tag & 255, ...content])
      return true
    } catch {
      return false
    }
  }
})

t.test('a message has no tags at all', async (t) => {
  for (const tag of [1, 2, 3, 27, 28, 29, 64]) refuses(t, [0x81, 0xd8, tag, 0x00], /tag \d+ is not allowed/, MESSAGE)
})

t.test('a tag in front of what it cannot stand before', async (t) => {
  refuses(t, [0xc1, 0x61, 0x61], /a tag needs a number/)
  refuses(t, [0xc2, 0x01], /a tag needs bytes/)
  refuses(t, [0xd8, 86, 0x80], /a tag needs bytes/)
  refuses(t, [0xd8, 86, 0x49, ...new Uint8Array(9)], /should be a multiple of 8/)
  refuses(t, [0xd9, 0x01, 0x02, 0xa0], /a set is an array/)
  refuses(t, [0xd9, 0x01, 0x03, 0x80], /a map is a map/)
})

t.test('tag 27 makes a RegExp, and calls nothing else by name', async (t) => {
  const call = (...words: string[]): number[] => [
    0xd8,
    27,
    0x80 | words.length,
    ...words.flatMap((word) => [0x60 | word.length, ...Buffer.from(word)]),
  ]
  t.same(read(call('RegExp', 'a+', 'g')), /a+/g)
  for (const name of ['Error', 'Function', 'constructor', 'toString', 'valueOf'])
    refuses(t, call(name, 'a', 'g'), /for RegExp only/)
  refuses(t, call('RegExp', 'a'), /for RegExp only/)
  refuses(t, call('RegExp', 'a', 'g', 'x'), /for RegExp only/)
  refuses(t, call('RegExp', '(', ''), /Invalid regular expression/)
  refuses(t, call('RegExp', 'a', 'gg'), /[Ii]nvalid.*flags/)
})

t.test('references to what is not there', async (t) => {
  refuses(t, [0xd8, 29, 0x00], /nothing is shared as 0/)
  refuses(t, [0x82, 0xd8, 28, 0x80, 0xd8, 29, 0x01], /nothing is shared as 1/)
  refuses(t, [0xd8, 28, 0xd8, 28, 0x81, 0xd8, 29, 0x00], /nothing is shared as 0/)
  refuses(t, [0x82, 0xd8, 28, 0x80, 0xd8, 29, 0x20], /nothing is shared as -1/)
  refuses(t, [0x82, 0xd8, 28, 0x80, 0xd8, 29, 0xfb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0], /nothing is shared as 0.5/)
  refuses(t, [0x82, 0xd8, 28, 0x80, 0xd8, 29, 0x66, ...Buffer.from('length')], /a tag needs a number/)
})

t.test('keys that are no names', async (t) => {
  for (const key of [[0x01], [0x40], [0x80], [0xf6], [0x69, ...Buffer.from('__proto__')]])
    refuses(t, [0xa1, ...key, 0x01], /a key of an object/)
})

t.test('bytes: views in a message, copies in a state', async (t) => {
  const input = Uint8Array.from([0x42, 1, 2])
  t.equal((decodeCbor(input, MESSAGE) as Buffer).buffer, input.buffer)
  t.not((decodeCbor(input, STATE) as Buffer).buffer, input.buffer)
  t.ok(Buffer.isBuffer(decodeCbor(input, STATE)))
})
