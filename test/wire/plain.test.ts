import t from 'tap'
import { assertPlain, MAX_DEPTH } from '../../src/wire/plain.js'

class Player {}

const REFUSED: Record<string, [state: unknown, where: RegExp]> = {
  'a function': [Math.max, /^state is a function,/],
  'a symbol': [Symbol('s'), /^state is a symbol,/],
  'a function in an object': [{ a: { b: Math.max } }, /^state\.a\.b is a function,/],
  'a symbol in an array': [{ list: [1, Symbol('s')] }, /^state\.list\.1 is a symbol,/],
  'a class instance': [{ players: [new Player()] }, /^state\.players\.0 is an instance of Player,/],
  'an instance of a subclass of Map': [new (class Rooms extends Map {})(), /^state is an instance of Rooms,/],
  'an instance of a subclass of Uint8Array': [
    { x: new (class Bytes extends Uint8Array {})() },
    /^state\.x is an instance of Bytes,/,
  ],
  'an Error': [{ last: new TypeError('no') }, /^state\.last is an instance of TypeError,/],
  'a Promise': [{ later: Promise.resolve() }, /^state\.later is an instance of Promise,/],
  'a WeakMap': [[new WeakMap()], /^state\.0 is an instance of WeakMap,/],
  'an ArrayBuffer': [{ raw: new ArrayBuffer(1) }, /^state\.raw is an instance of ArrayBuffer,/],
  'a DataView': [{ raw: new DataView(new ArrayBuffer(1)) }, /^state\.raw is an instance of DataView,/],
  'a boxed number': [{ n: Object(1) }, /^state\.n is an instance of Number,/],
  'an instance of a class without a name': [{ n: new (class {})() }, /^state\.n is an instance of (a class|n),/],
  'an object with an own prototype': [{ n: Object.create({}) }, /^state\.n is an instance of Object,/],
  'a key that the codec would rename': [
    { a: JSON.parse('{"__proto__": 1}') },
    /^state\.a\.__proto__ is a key the codec would rename,/,
  ],
  'a key of a Map': [
    new Map([
      ['a', 1],
      [Math.max, 2],
    ] as [unknown, unknown][]),
    /^state\.key 1 is a function,/,
  ],
  'a value of a Map, by its key': [new Map([['room', new Player()]]), /^state\.room is an instance of Player,/],
  'a value of a Map, by its place': [
    new Map<unknown, unknown>([
      [{}, 1],
      [{}, new Player()],
    ]),
    /^state\.1 is an instance of Player,/,
  ],
  'a member of a Set': [{ set: new Set([1, new Player()]) }, /^state\.set\.1 is an instance of Player,/],
}

for (const [name, [state, where]] of Object.entries(REFUSED)) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => assertPlain(state), { code: 'HANDOVER_STATE_INVALID', message: where })
  })
}

function nested(levels: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? { d: value } : [value]
  return value
}

t.test('the deepest nesting, and one more', async (t) => {
  t.doesNotThrow(() => assertPlain(nested(MAX_DEPTH)))
  t.throws(() => assertPlain(nested(MAX_DEPTH + 1)), {
    code: 'HANDOVER_STATE_INVALID',
    message: /^state(\.(0|d)){12}… is nested deeper than 128 levels/,
  })
})

t.test('a cycle is not deep', async (t) => {
  const ring: Record<string, unknown> = {}
  ring['next'] = { next: ring }
  t.doesNotThrow(() => assertPlain(ring))
})

t.test("an accessor that throws is the application's own error", async (t) => {
  const state = Object.defineProperty({}, 'a', {
    enumerable: true,
    get: () => {
      throw new RangeError('mine')
    },
  })
  t.throws(() => assertPlain(state), { name: 'RangeError', message: 'mine' })
})
