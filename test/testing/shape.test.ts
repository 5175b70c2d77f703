/** Shapes: what is told apart, and the laws that make the order of the samples not matter. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { compare, recordPaths, unseenPaths } from '../../src/testing/compare.js'
import { merge, NEVER, type Shape, shapeOf } from '../../src/testing/shape.js'
import { fromJson, toJson } from '../../src/testing/shape-json.js'
import { openState, sealState } from '../../src/wire/envelope.js'
import { graph, plain } from '../wire/plain-values.js'

/** As `checkShapes` sees it. */
const shapeSent = (value: unknown): Shape => shapeOf(openState(sealState(value)))
const text = (shape: Shape): string => JSON.stringify(toJson(shape))
const breaks = (recorded: Shape, found: Shape): boolean => compare(recorded, found).some(({ breaks }) => breaks)

function holds<T>(t: Test, property: fc.IProperty<T>): void {
  const details = fc.check(property, { numRuns: 300 })
  t.notOk(details.failed, fc.defaultReportMessage(details) ?? `${details.numRuns} runs`)
}

const knot = { name: 'a', children: [] as unknown[] }
knot.children.push({ name: 'b', parent: knot, children: [null] })

const CASES: [string, unknown, unknown][] = [
  ['leaves', [1, 'a', true, 1n, null, undefined], { array: 'bigint | boolean | null | number | string | undefined' }],
  [
    'bytes',
    [Buffer.from('a'), new Uint8Array(1), new Float64Array(1)],
    { array: 'Buffer | Float64Array | Uint8Array' },
  ],
  ['objects with no inside', { at: new Date(), like: /a/ }, { object: { at: 'Date', like: 'RegExp' } }],
  [
    'a field that is absent in some',
    [{ a: 1, b: 'x' }, { a: 2 }],
    { array: { object: { a: 'number' }, optional: { b: 'string' } } },
  ],
  [
    'a field that is undefined is there',
    [{ a: undefined }, { a: 1 }],
    { array: { object: { a: 'number | undefined' } } },
  ],
  [
    'a Map and a Set',
    { map: new Map([['a', new Set([1])]]) },
    { object: { map: { Map: { key: 'string', value: { Set: 'number' } } } } },
  ],
  ['an object or null', [{ a: 1 }, null], { array: { object: { a: 'number' }, or: 'null' } }],
  ['empty things', [[], {}, new Set()], { array: { object: {}, array: 'never', Set: 'never' } }],
  [
    'names that look like others',
    { 'a?': 1, 'a b': 2, constructor: 3, object: { or: 1 } },
    { object: { 'a b': 'number', 'a?': 'number', constructor: 'number', object: { object: { or: 'number' } } } },
  ],
  [
    'a cycle names where it leads',
    knot,
    {
      object: {
        children: { array: { object: { children: { array: 'null' }, name: 'string', parent: 'cycle to state' } } },
        name: 'string',
      },
    },
  ],
  [
    'one thing in two places is no cycle',
    ((shared) => ({ a: shared, b: shared }))({ x: 1 }),
    { object: { a: { object: { x: 'number' } }, b: { object: { x: 'number' } } } },
  ],
]
for (const [name, value, json] of CASES) {
  t.test(name, async (t) => {
    t.equal(text(shapeSent(value)), JSON.stringify(json))
    t.strictSame(toJson(fromJson(json)), json, 'and is read as it was written')
  })
}

t.test('an object used as a dictionary is one where it is said', async (t) => {
  const value = { scores: { ada: { points: 1 }, grace: { points: 2 } }, rooms: new Map([['x', { 1: 'a', 2: 'b' }]]) }
  const records = new Set(['state.scores', 'state.rooms{}'])
  const shape = shapeOf(value, records)
  t.strictSame(toJson(shape), {
    object: {
      rooms: { Map: { key: 'string', value: { record: 'string' } } },
      scores: { record: { object: { points: 'number' } } },
    },
  })
  t.strictSame(new Set(recordPaths(shape)), records, 'and the recorded shape still knows')
  t.strictSame(compare(shape, shapeOf({ ...value, scores: { other: { points: 3 } } }, records)), [])
})

t.test('what no sample shows is named', async (t) => {
  t.same(unseenPaths(shapeOf({ a: [], b: new Map(), c: [[1], []], d: { e: new Set() } })), [
    'state.a[]',
    'state.b{}',
    'state.d.e[]',
  ])
})

t.test('what differs, and where', async (t) => {
  const recorded = shapeOf([
    { a: 1, list: [{ x: 'y' }] },
    { a: 1, list: [], b: null },
  ])
  const found = shapeOf([
    { a: 'one', list: [{ x: 'y', z: 1 }], c: 5 },
    { list: [{ x: 1 }], c: 5 },
  ])
  t.strictSame(
    compare(recorded, found).map(({ path, what, breaks }) => `${breaks ? '!' : ' '} ${path} ${what}`),
    [
      '! state[].a is string, recorded is number',
      '! state[].a is not always there any more',
      '  state[].b disappeared (was null)',
      '! state[].c appeared (number)',
      '! state[].list[].x is number | string, recorded is string',
      '! state[].list[].z appeared (number)',
    ],
  )
})

t.test('a shape that was spoilt by hand is refused', async (t) => {
  for (const wrong of [
    1,
    null,
    ['string'],
    { objects: {} },
    { or: 1 },
    { Map: { key: 'string' } },
    { object: { a: 1 } },
  ])
    t.throws(() => fromJson(wrong), JSON.stringify(wrong))
})

t.test('a net too dense to walk is refused, not walked for ever', async (t) => {
  const nodes = Array.from({ length: 30 }, () => ({ links: [] as unknown[] }))
  for (const node of nodes) node.links = [...nodes]
  t.throws(() => shapeOf(nodes), { code: 'HANDOVER_USAGE' })
})

const value = fc.oneof(plain, graph)
const shape = fc.oneof(value.map(shapeSent), fc.constant(NEVER))

t.test('the shape of a value accepts the value, and so does any shape it was merged into', async (t) => {
  holds(
    t,
    fc.property(value, shape, (value, other) => {
      const own = shapeSent(value)
      return compare(own, own).length === 0 && !breaks(own, own) && !breaks(merge(own, other), own)
    }),
  )
})

t.test('merging: commutative, associative, idempotent; and empty changes nothing', async (t) => {
  holds(
    t,
    fc.property(
      shape,
      shape,
      shape,
      (a, b, c) =>
        text(merge(a, b)) === text(merge(b, a)) &&
        text(merge(a, merge(b, c))) === text(merge(merge(a, b), c)) &&
        text(merge(a, a)) === text(a) &&
        text(merge(a, NEVER)) === text(a),
    ),
  )
})

t.test('a dictionary merges with an object in any order too', async (t) => {
  const some = value.map((inner) => ({ leaves: new Set<string>(), record: shapeSent(inner) }))
  const any = fc.oneof(shape, some)
  holds(
    t,
    fc.property(
      any,
      any,
      any,
      (a, b, c) =>
        text(merge(a, b)) === text(merge(b, a)) &&
        text(merge(a, merge(b, c))) === text(merge(merge(a, b), c)) &&
        text(merge(a, a)) === text(a),
    ),
  )
})

t.test('what is recorded is read back, and says no difference exactly when there is none', async (t) => {
  holds(
    t,
    fc.property(
      shape,
      shape,
      (a, b) =>
        text(fromJson(JSON.parse(text(a)))) === text(a) &&
        (compare(a, b).length === 0) === (text(a) === text(b)) &&
        breaks(a, b) === (text(merge(a, b)) !== text(a)),
    ),
  )
})

/** Objects in objects, arrays and Maps of one: what changes in one place is hidden by no other. */
const nested = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<unknown>(1, 'text', true, null, 5n),
    tie('object'),
    tie('value').map((inner) => [inner]),
    tie('value').map((inner) => new Map([['key', inner]])),
  ),
  object: fc.dictionary(
    fc.string({ maxLength: 5 }).filter((name) => name !== '__proto__'),
    tie('value'),
    {
      minKeys: 1,
      maxKeys: 4,
    },
  ),
})).object

function objectsIn(value: unknown): Record<string, unknown>[] {
  if (value instanceof Map || Array.isArray(value)) return [...value.values()].flatMap(objectsIn)
  if (typeof value !== 'object' || value === null) return []
  return [value as Record<string, unknown>, ...Object.values(value).flatMap(objectsIn)]
}

const edits = {
  removed: (object: Record<string, unknown>, name: string) => void delete object[name],
  added: (object: Record<string, unknown>, name: string) => void (object[`${name} new`] = 1),
  retyped: (object: Record<string, unknown>, name: string) => void (object[name] = new Date()),
}
for (const [what, edit] of Object.entries(edits)) {
  t.test(`a field ${what} is noticed, wherever it is`, async (t) => {
    holds(
      t,
      fc.property(nested, fc.nat(), fc.nat(), (before, which, at) => {
        const after = openState(sealState(before))
        const objects = objectsIn(after).filter((object) => Object.keys(object).length > 0)
        const object = objects[which % objects.length]!
        const names = Object.keys(object)
        edit(object, names[at % names.length]!)
        return breaks(shapeOf(before), shapeOf(after))
      }),
    )
  })
}
