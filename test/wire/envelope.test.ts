import { crc32 } from 'node:zlib'
import t from 'tap'
import { MAX_STATE_BYTES, openState, sealState } from '../../src/wire/envelope.js'
import { difference } from './same.js'

const travel = (state: unknown): unknown => openState(sealState(state))

function knot<T extends object>(value: T, tie: (value: T) => void): T {
  tie(value)
  return value
}

const shared = { name: 'shared' }
const sharedMap = new Map<unknown, unknown>([[shared, 'by object']])
const manyKeys = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`key ${index}`, index]))

const CASES: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  booleans: [true, false],
  'numbers of every width': [
    0,
    1,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
    -1,
    -24,
    -25,
    -(2 ** 31),
    -(2 ** 53),
    0.1,
    1e300,
    5e-324,
  ],
  'numbers that are none': [Number.NaN, Infinity, -Infinity],
  'bigints, small': [0n, 1n, -1n, 23n, 24n, 255n, -256n],
  'bigints at the edges of 64 bits': [
    2n ** 63n - 1n,
    2n ** 63n,
    -(2n ** 63n),
    -(2n ** 63n) - 1n,
    2n ** 64n - 1n,
    2n ** 64n,
    -(2n ** 64n),
    -(2n ** 64n) - 1n,
  ],
  'bigints, large': [2n ** 1000n, -(3n ** 700n)],
  'a bigint and the number of the same value': [5n, 5],
  strings: ['', 'a', 'x'.repeat(24), 'x'.repeat(300), 'y'.repeat(70_000), 'ä', '€', '🎈', '\u0000', 'é'.repeat(16)],
  'empty things': [{}, [], new Map(), new Set(), '', Buffer.alloc(0), new Uint8Array(0), new Float64Array(0)],
  'a Map with object keys': new Map<unknown, unknown>([
    [{ id: 1 }, 'one'],
    [[2], 'two'],
    [new Date(3), 'three'],
    ['__proto__', 4],
    [Number.NaN, 5],
    [undefined, 6],
  ]),
  'a Map in a Map, an object between': new Map([['a', { inner: new Map([['b', { c: 1 }]]) }]]),
  'an object after a Map': [new Map([[1, 2]]), { a: 1 }, new Map(), { b: { c: 2 } }],
  'a Set of things': new Set<unknown>([1, 'a', { b: 2 }, new Set([3]), null]),
  dates: [
    new Date(0),
    new Date(1_700_000_000_123),
    new Date(-1),
    new Date(-1_700_000_000_123),
    new Date(8.64e15),
    new Date(-8.64e15),
  ],
  'an invalid Date': new Date(Number.NaN),
  'Buffer and Uint8Array, told apart': [Buffer.from('abc'), new Uint8Array([1, 2, 3])],
  'all other typed arrays': [
    new Uint8ClampedArray([1, 255]),
    new Uint16Array([1, 65_535]),
    new Uint32Array([1, 2 ** 32 - 1]),
    new BigUint64Array([1n, 2n ** 64n - 1n]),
    new Int8Array([-1]),
    new Int16Array([-2]),
    new Int32Array([-3]),
    new BigInt64Array([-4n]),
    new Float32Array([0.5]),
    new Float64Array([0.1]),
  ],
  'a view of a part of a buffer': new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2),
  'regular expressions': [/a+/, /ä\/b/giu, /(?:)/],
  'undefined as a value': { a: undefined, b: [undefined] },
  'keys that look like numbers, or like methods': {
    10: 'a',
    2: 'b',
    '-1': 'c',
    '': 'd',
    constructor: 'e',
    toString: 'f',
    hasOwnProperty: 'g',
  },
  'an object without a prototype': Object.assign(Object.create(null), { a: 1 }),
  'a shared object': [shared, shared, { again: shared }],
  'a shared Map, Set, Date, RegExp and buffer': (() => {
    const things = [sharedMap, new Set([shared]), new Date(1), /a/, Buffer.from('b'), new Float64Array([1])]
    return [...things, ...things]
  })(),
  'an object that contains itself': knot({} as Record<string, unknown>, (object) => (object['self'] = object)),
  'an array that contains itself': knot([] as unknown[], (array) => array.push(1, array)),
  'a Map that contains itself, as key and value': knot(new Map<unknown, unknown>(), (map) =>
    map.set('a', 1).set(map, map),
  ),
  'a Set that contains itself': knot(new Set<unknown>([1]), (set) => set.add(set)),
  'a cycle through an object, a Map and a Set': (() => {
    const room = { members: new Set<unknown>(), byName: new Map<unknown, unknown>() }
    const member = { room, rooms: new Map([[room, room.members]]) }
    room.members.add(member)
    room.byName.set('member', member)
    return new Map<unknown, unknown>([
      ['room', room],
      ['names', room.byName],
      [room.members, member],
    ])
  })(),
  'more than 65,536 keys': manyKeys,
  'a Map and a Set of more than 65,536': [
    new Map(Object.entries(manyKeys)),
    new Set(Object.keys(manyKeys)),
    Array.from({ length: 70_000 }, () => 0),
  ],
}

for (const [name, state] of Object.entries(CASES)) {
  t.test(name, async (t) => {
    t.equal(difference(state, travel(state)), undefined)
  })
}

t.test('what is documented as changed', async (t) => {
  t.ok(Object.is(travel(-0), 0), '-0 arrives as 0')
  t.match(travel('a\ud800b'), /^a\ufffd+b$/, 'a lone surrogate arrives as U+FFFD, once or for each of its bytes')
  // biome-ignore lint/suspicious/noSparseArray: it is what is tested
  t.strictSame(Object.keys(travel([1, , 3]) as unknown[]), ['0', '1', '2'], 'a hole arrives as undefined')
  t.equal(Object.getPrototypeOf(travel(Object.create(null))), Object.prototype)
})

t.test('thirty Maps around each other, each in a cycle: read once, not two to the thirty times', async (t) => {
  const outermost = new Map<string, unknown>()
  let inner = outermost
  for (let depth = 0; depth < 30; depth++) {
    const next = new Map<string, unknown>([['self', null]])
    next.set('self', next)
    inner.set('inner', next)
    inner = next
  }
  t.equal(difference(outermost, travel(outermost)), undefined)
})

t.test('bytes of a state are its own, not a view that keeps a whole message alive', async (t) => {
  const { bytes, checksum } = sealState({ avatar: Buffer.alloc(10_000, 1), array: new Float64Array(2000) })
  // Not from the pool, of which the copies may come.
  const message = Buffer.allocUnsafeSlow(bytes.length + 2000)
  message.set(bytes, 1000)
  const state = openState({ bytes: message.subarray(1000, 1000 + bytes.length), checksum }) as {
    avatar: Buffer
    array: Float64Array
  }
  t.not(state.avatar.buffer, message.buffer)
  t.not(state.array.buffer, message.buffer)
})

t.test('the first bit that is wrong, at any place, is found', async (t) => {
  const { bytes, checksum } = sealState({ nick: 'ada', rooms: new Set(['lobby']) })
  for (let at = 0; at < bytes.length; at++) {
    const wrong = Buffer.from(bytes)
    wrong[at]! ^= 1
    t.throws(() => openState({ bytes: wrong, checksum }), { code: 'HANDOVER_STATE_INVALID', message: /checksum/ })
  }
})

t.test('a length that is wrong is found, with the checksum right', async (t) => {
  const { bytes } = sealState({ nick: 'ada', rooms: new Set(['lobby']) })
  for (let length = 0; length < bytes.length; length++) {
    const short = Buffer.from(bytes.subarray(0, length))
    t.throws(() => openState({ bytes: short, checksum: crc32(short) }), {
      code: 'HANDOVER_STATE_INVALID',
      message: /cannot be decoded/,
    })
  }
  const long = Buffer.concat([bytes, Buffer.from([0])])
  t.throws(() => openState({ bytes: long, checksum: crc32(long) }), {
    code: 'HANDOVER_STATE_INVALID',
    message: /1 bytes follow/,
  })
})

t.test('the limit of size, in both directions', async (t) => {
  const fits = Buffer.alloc(MAX_STATE_BYTES - 5)
  const envelope = sealState(fits)
  t.equal(envelope.bytes.length, MAX_STATE_BYTES)
  t.equal((openState(envelope) as Buffer).length, fits.length)
  t.throws(() => sealState(Buffer.alloc(MAX_STATE_BYTES - 4)), {
    code: 'HANDOVER_STATE_INVALID',
    message: /67108865 bytes, the limit is 67108864/,
  })
  const large = Buffer.alloc(MAX_STATE_BYTES + 1)
  t.throws(() => openState({ bytes: large, checksum: crc32(large) }), {
    code: 'HANDOVER_STATE_INVALID',
    message: /67108865 bytes, the limit/,
  })
})

t.test('what one failed reading leaves behind does not reach the next', async (t) => {
  // A map tag in front of something else, and a share that is cut off.
  for (const wrong of [
    [0xd9, 0x01, 0x03, 0x01],
    [0x82, 0xd8, 28, 0xd9, 0x01, 0x03, 0xa1, 0x01],
  ]) {
    const bytes = Buffer.from(wrong)
    t.throws(() => openState({ bytes, checksum: crc32(bytes) }), { code: 'HANDOVER_STATE_INVALID' })
    t.equal(difference(CASES['a shared object'], travel(CASES['a shared object'])), undefined)
  }
})
