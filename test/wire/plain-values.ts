/** Arbitraries of all that may travel as captured state. */
import fc from 'fast-check'

const key = fc
  .oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 40 }))
  .filter((name) => name !== '__proto__')

const typedArray = fc.oneof(
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.uint16Array(),
  fc.uint32Array(),
  fc.bigUint64Array(),
  fc.int8Array(),
  fc.int16Array(),
  fc.int32Array(),
  fc.bigInt64Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)

const leaf = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, true, false, Number.NaN, Infinity, -Infinity, -0, ''),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
  fc.string({ unit: 'binary', maxLength: 400 }),
  // Seconds as a double tell milliseconds apart for 139,000 years.
  fc.date({ noInvalidDate: false, min: new Date('-100000-01-01T00:00:00Z'), max: new Date('+100000-01-01T00:00:00Z') }),
  fc.constantFrom(/a+/, /[ä-ö]\/"/gi, /(?:)/),
  typedArray,
)

/** Trees; a thing may be in several places, since constants are shared. */
export const plain: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 8 }),
    fc.dictionary(key, tie('value'), { maxKeys: 8 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 6 }).map((members) => new Set(members)),
  ),
})).value

const nodes = fc.array(fc.constantFrom('object', 'array', 'map', 'set'), { minLength: 1, maxLength: 8 })
const edges = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 24 })

/** Nets: containers that contain one another in any way, themselves included. */
export const graph: fc.Arbitrary<unknown> = fc.tuple(nodes, edges).map(([kinds, links]) => {
  const made = kinds.map((kind): object =>
    kind === 'object' ? {} : kind === 'array' ? [] : kind === 'map' ? new Map() : new Set(),
  )
  const pick = (index: number): object => made[index % made.length]!
  for (const [from, to, other] of links) {
    const container = pick(from)
    if (Array.isArray(container)) container.push(pick(to))
    else if (container instanceof Map) container.set(other % 3 === 0 ? `name ${other}` : pick(other), pick(to))
    else if (container instanceof Set) container.add(pick(to))
    else Object.assign(container, { [`field ${other % 5}`]: pick(to) })
  }
  return made[0]!
})
