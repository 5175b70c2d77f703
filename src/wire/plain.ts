/**
 * Which values may travel as captured state. The codec would turn a class instance into a plain object and an Error into
 * a poorer one without a word; here they are refused, with the path to them.
 */
import { HandoverError } from '../errors.js'

/** Deepest nesting of captured state; the decoder of the other side refuses more. */
export const MAX_DEPTH = 128

const TYPED_ARRAYS = new Set<unknown>(
  [
    Buffer,
    Uint8Array,
    Uint8ClampedArray,
    Uint16Array,
    Uint32Array,
    BigUint64Array,
    Int8Array,
    Int16Array,
    Int32Array,
    BigInt64Array,
    Float32Array,
    Float64Array,
  ].map((type) => type.prototype),
)

const LEAVES = new Set<unknown>([Date.prototype, RegExp.prototype])

/**
 * Checks that `value` is made of plain objects, arrays, Map, Set, Date, RegExp, Buffer, typed arrays, strings, numbers,
 * booleans, bigints, null and undefined, cycles included, and at most MAX_DEPTH deep.
 * @throws HandoverError HANDOVER_STATE_INVALID with the path of the first value that is not.
 */
export function assertPlain(value: unknown): void {
  visit(value, [], new Set())
}

function visit(value: unknown, path: (string | number)[], seen: Set<object>): void {
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'function' || typeof value === 'symbol') refuse(`a ${typeof value}`, path)
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (TYPED_ARRAYS.has(prototype) || LEAVES.has(prototype) || seen.has(value)) return
  if (path.length >= MAX_DEPTH) refuse(`nested deeper than ${MAX_DEPTH} levels`, path)
  seen.add(value)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) step(value[index], index, path, seen)
  } else if (prototype === Object.prototype || prototype === null) {
    // Most fields are leaves: only what has an inside costs a step.
    for (const key of Object.keys(value)) {
      const inner = (value as Record<string, unknown>)[key]
      if (key === '__proto__') refuse('a key the codec would rename', [...path, key])
      if (typeof inner === 'object' || typeof inner === 'function' || typeof inner === 'symbol')
        step(inner, key, path, seen)
    }
  } else if (prototype === Map.prototype) {
    let index = 0
    for (const [key, inner] of value as Map<unknown, unknown>) {
      step(key, `key ${index}`, path, seen)
      step(inner, typeof key === 'string' ? key : index, path, seen)
      index++
    }
  } else if (prototype === Set.prototype) {
    let index = 0
    for (const inner of value as Set<unknown>) step(inner, index++, path, seen)
  } else {
    refuse(`an instance of ${nameOf(prototype)}`, path)
  }
}

function step(value: unknown, key: string | number, path: (string | number)[], seen: Set<object>): void {
  path.push(key)
  visit(value, path, seen)
  path.pop()
}

function nameOf(prototype: unknown): string {
  const name = (prototype as { constructor?: { name?: unknown } } | null)?.constructor?.name
  return typeof name === 'string' && name !== '' ? name : 'a class'
}

function refuse(what: string, path: readonly (string | number)[]): never {
  const where = path.length === 0 ? 'state' : `state.${path.slice(0, 12).join('.')}${path.length > 12 ? '…' : ''}`
  throw new HandoverError('HANDOVER_STATE_INVALID', `${where} is ${what}, which cannot travel`)
}
