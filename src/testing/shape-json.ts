/**
 * Shapes as they are recorded: a text of types where nothing has an inside (`"null | string"`), else an object with what
 * there is of `object`, `optional`, `record`, `array`, `Map`, `Set`, and `or` for the types beside. Sorted, and without
 * arrays, so that a formatter leaves the file as it was written and a diff shows the field that changed.
 */
import { type Field, NEVER, type Shape } from './shape.js'

export type Json = string | { readonly [name: string]: Json }

const NOTHING = 'never'
const PARTS = ['object', 'optional', 'record', 'array', 'Map', 'Set', 'or']

export function toJson({ leaves, fields, record, array, set, map }: Shape): Json {
  const types = [...leaves].sort().join(' | ')
  if (!fields && !record && !array && !set && !map) return types === '' ? NOTHING : types
  const isOptional = fields !== undefined && [...fields.values()].some(({ optional }) => optional)
  return {
    ...(fields && { object: some(fields, false) }),
    ...(isOptional && { optional: some(fields, true) }),
    ...(record && { record: toJson(record) }),
    ...(array && { array: toJson(array) }),
    ...(map && { Map: { key: toJson(map.key), value: toJson(map.value) } }),
    ...(set && { Set: toJson(set) }),
    ...(types !== '' && { or: types }),
  }
}

function some(fields: ReadonlyMap<string, Field>, optional: boolean): Json {
  const chosen = [...fields].filter(([, field]) => field.optional === optional)
  chosen.sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(chosen.map(([name, { shape }]) => [name, toJson(shape)]))
}

/** @throws Error when it is not what `toJson` writes: somebody may have merged the file by hand. */
export function fromJson(json: unknown): Shape {
  if (typeof json === 'string') return json === NOTHING ? NEVER : { leaves: new Set(json.split(' | ')) }
  const parts = objectOf(json)
  const unknown = Object.keys(parts).find((name) => !PARTS.includes(name))
  if (unknown !== undefined) throw new Error(`"${unknown}" is no part of a shape`)
  const { object, optional, record, array, Map: map, Set: set, or } = parts
  if (or !== undefined && typeof or !== 'string') throw new Error('"or" must be a text')
  const fields = [...fieldsOf(object, false), ...fieldsOf(optional, true)]
  return {
    leaves: new Set(or?.split(' | ')),
    ...(object !== undefined && { fields: new Map(fields) }),
    ...(record !== undefined && { record: fromJson(record) }),
    ...(array !== undefined && { array: fromJson(array) }),
    ...(map !== undefined && { map: { key: fromJson(objectOf(map)['key']), value: fromJson(objectOf(map)['value']) } }),
    ...(set !== undefined && { set: fromJson(set) }),
  }
}

function fieldsOf(json: unknown, optional: boolean): [string, Field][] {
  if (json === undefined) return []
  return Object.entries(objectOf(json)).map(([name, inner]) => [name, { shape: fromJson(inner), optional }])
}

export function objectOf(json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Error(`${JSON.stringify(json) ?? 'nothing'} stands where an object belongs`)
  return json as Record<string, unknown>
}
