/**
 * The shape of captured state: which fields there are, and what is in them. A shape is a set of alternatives of which each
 * container occurs once at most, so that merging is by parts and the order of the samples does not matter.
 */
import { HandoverError } from '../errors.js'
import { fieldPath, KEYS, MEMBERS, VALUES } from './path.js'

export interface Field {
  readonly shape: Shape
  /** Absent in some of the samples. */
  readonly optional: boolean
}

export interface Shape {
  /** Types with no inside: 'string', 'Date', 'Uint8Array', and 'cycle to PATH' for what contains itself. */
  readonly leaves: ReadonlySet<string>
  readonly fields?: ReadonlyMap<string, Field>
  /** A plain object whose keys are data: what its values are. Takes the place of `fields`. */
  readonly record?: Shape
  readonly array?: Shape
  readonly set?: Shape
  readonly map?: { readonly key: Shape; readonly value: Shape }
}

/** What is in an empty array. */
export const NEVER: Shape = { leaves: new Set() }

/** More than this in one sample is no sample; a dense net of objects has more ways through it than can be walked. */
const MAX_VISITS = 1_000_000

/**
 * @param value plain data, as `openState` returns it.
 * @param records paths of the plain objects whose keys are data.
 */
export function shapeOf(value: unknown, records: ReadonlySet<string> = new Set()): Shape {
  const above = new Map<object, string>()
  let visits = 0
  return visit(value, 'state')

  function visit(value: unknown, path: string): Shape {
    if (++visits > MAX_VISITS)
      throw new HandoverError('HANDOVER_USAGE', `a sample has more than ${MAX_VISITS} values; give a smaller one`)
    if (typeof value !== 'object' || value === null) return leaf(value === null ? 'null' : typeof value)
    const ancestor = above.get(value)
    if (ancestor !== undefined) return leaf(`cycle to ${ancestor}`)
    above.set(value, path)
    const shape = inside(value, path)
    above.delete(value)
    return shape
  }

  function inside(value: object, path: string): Shape {
    const all = (members: Iterable<unknown>, at: string): Shape =>
      mergeAll(Array.from(members, (member) => visit(member, at)))
    if (Array.isArray(value)) return { ...NEVER, array: all(value, path + MEMBERS) }
    if (value instanceof Set) return { ...NEVER, set: all(value, path + MEMBERS) }
    if (value instanceof Map)
      return { ...NEVER, map: { key: all(value.keys(), path + KEYS), value: all(value.values(), path + VALUES) } }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return leaf(value.constructor.name)
    if (records.has(path)) return { ...NEVER, record: all(Object.values(value), path + VALUES) }
    const fields = Object.entries(value).map(([name, inner]): [string, Field] => [
      name,
      { shape: visit(inner, fieldPath(path, name)), optional: false },
    ])
    return { ...NEVER, fields: new Map(fields) }
  }
}

const leaf = (name: string): Shape => ({ leaves: new Set([name]) })

export function mergeAll(shapes: readonly Shape[]): Shape {
  return shapes.reduce(merge, NEVER)
}

/** What accepts all that either accepts. */
export function merge(one: Shape, other: Shape): Shape {
  const record = mergeRecords(one, other)
  const fields = record === undefined ? both(one.fields, other.fields, mergeFields) : undefined
  const array = both(one.array, other.array, merge)
  const set = both(one.set, other.set, merge)
  const map = both(one.map, other.map, (a, b) => ({ key: merge(a.key, b.key), value: merge(a.value, b.value) }))
  return {
    leaves: new Set([...one.leaves, ...other.leaves]),
    ...(fields && { fields }),
    ...(record && { record }),
    ...(array && { array }),
    ...(set && { set }),
    ...(map && { map }),
  }
}

/** An object that is a record anywhere is one: its fields are then values like all others. */
function mergeRecords(one: Shape, other: Shape): Shape | undefined {
  if (one.record === undefined && other.record === undefined) return undefined
  const valuesOf = ({ record = NEVER, fields = new Map<string, Field>() }: Shape): Shape =>
    mergeAll([record, ...Array.from(fields.values(), ({ shape }) => shape)])
  return merge(valuesOf(one), valuesOf(other))
}

function mergeFields(one: ReadonlyMap<string, Field>, other: ReadonlyMap<string, Field>): Map<string, Field> {
  const merged = new Map<string, Field>()
  for (const name of [...one.keys(), ...other.keys()]) {
    const [a, b] = [one.get(name), other.get(name)]
    const shape = both(a?.shape, b?.shape, merge) as Shape
    merged.set(name, { shape, optional: a === undefined || b === undefined || a.optional || b.optional })
  }
  return merged
}

function both<T>(one: T | undefined, other: T | undefined, merge: (one: T, other: T) => T): T | undefined {
  return one === undefined ? other : other === undefined ? one : merge(one, other)
}
