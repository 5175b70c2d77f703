/**
 * Reads CBOR (RFC 8949) of the other generation, which is untrusted input: definite lengths only, only what our encoder
 * writes, nothing allocated on the word of a count. Our own and not the encoder's library, whose decoder makes a Map or
 * Set that contains itself into another one that does not, and reads nested ones over and over.
 */
import { HandoverError } from '../errors.js'

export interface CborLimits {
  /** Deepest nesting of arrays, maps and tags. */
  readonly depth: number
  /** Most items in all: an empty map is one byte here and sixty in memory. */
  readonly items: number
  /** 'state': the tags of plain data, and byte strings are copies. 'message': no tags, and byte strings are views of the input. */
  readonly content: 'state' | 'message'
}

/** RFC 8746, little endian, as far as JS has them. */
const TYPED_ARRAYS = new Map<number, new (buffer: ArrayBuffer) => unknown>([
  [64, Uint8Array],
  [68, Uint8ClampedArray],
  [69, Uint16Array],
  [70, Uint32Array],
  [71, BigUint64Array],
  [72, Int8Array],
  [77, Int16Array],
  [78, Int32Array],
  [79, BigInt64Array],
  [85, Float32Array],
  [86, Float64Array],
])

/** Up to here a loop over ASCII is faster than the call into native code: keys, mostly. */
const SHORT_TEXT = 16

/** In place of a shared value that is still being read and is not a container. */
const UNREAD = Symbol('unread')

/**
 * @throws HandoverError HANDOVER_MESSAGE_INVALID when `bytes` is not exactly one well-formed item within the limits.
 */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits): unknown {
  const reader = new Reader(bytes, limits)
  let value: unknown
  try {
    value = reader.item(limits.depth)
  } catch (cause) {
    if (cause instanceof HandoverError) throw cause
    // What a constructor refuses: a RegExp that is none, a typed array of half an element, a BigInt beyond V8's limit.
    throw new HandoverError(
      'HANDOVER_MESSAGE_INVALID',
      `CBOR cannot be read: ${(cause as Error).message.slice(0, 200)}`,
      { cause },
    )
  }
  if (reader.left > 0) invalid(`${reader.left} bytes follow the item`)
  return value
}

class Reader {
  readonly #bytes: Buffer
  readonly #isState: boolean
  /** Shared values in the order of their tags 28. */
  readonly #shared: unknown[] = []
  #at = 0
  #items: number

  constructor(bytes: Uint8Array, { items, content }: CborLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#isState = content === 'state'
    this.#items = items
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** @param slot where the item is known to references, -1 when nowhere. */
  item(depth: number, slot = -1): unknown {
    if (this.#at >= this.#bytes.length) invalid('it ends in the middle of an item')
    if (depth < 0) invalid('it is nested too deep')
    if (--this.#items < 0) invalid('it has too many items')
    const initial = this.#bytes[this.#at++] as number
    switch (initial >> 5) {
      case 0:
        return initial === 0x1b ? this.#bytes.readBigUInt64BE(this.#skip(8)) : this.#argument(initial)
      case 1:
        return initial === 0x3b ? -1n - this.#bytes.readBigUInt64BE(this.#skip(8)) : -1 - this.#argument(initial)
      case 2:
        return this.#byteString(initial)
      case 3:
        return this.#text(initial)
      case 4:
        return this.#array(this.#count(initial, 1), depth, slot)
      case 5:
        return this.#object(this.#count(initial, 2), depth, slot)
      case 6:
        return this.#tagged(this.#argument(initial), depth - 1, slot)
      default:
        return this.#simple(initial)
    }
  }

  /** Steps over `length` bytes and returns where they begin. */
  #skip(length: number): number {
    if (length > this.left) invalid(`${length} bytes are due where ${this.left} are left`)
    const at = this.#at
    this.#at += length
    return at
  }

  #argument(initial: number): number {
    const info = initial & 31
    if (info < 24) return info
    if (info === 24) return this.#bytes[this.#skip(1)] as number
    if (info === 25) return this.#bytes.readUInt16BE(this.#skip(2))
    if (info === 26) return this.#bytes.readUInt32BE(this.#skip(4))
    if (info === 27) return Number(this.#bytes.readBigUInt64BE(this.#skip(8)))
    return invalid(`item type 0x${initial.toString(16)} is not allowed`)
  }

  /** How many entries follow: each takes at least `least` bytes. */
  #count(initial: number, least: number): number {
    const count = this.#argument(initial)
    if (count * least > this.left) invalid(`a count of ${count} is more than what is left can hold`)
    return count
  }

  #byteString(initial: number): Buffer {
    const length = this.#argument(initial)
    const at = this.#skip(length)
    const view = this.#bytes.subarray(at, at + length)
    // A view would keep the whole message alive for as long as the session keeps its bytes.
    return this.#isState ? Buffer.from(view) : view
  }

  #text(initial: number): string {
    const length = this.#argument(initial)
    const at = this.#skip(length)
    if (length > SHORT_TEXT) return this.#bytes.toString('utf8', at, at + length)
    let text = ''
    for (let index = at; index < at + length; index++) {
      const byte = this.#bytes[index] as number
      if (byte > 127) return this.#bytes.toString('utf8', at, at + length)
      text += String.fromCharCode(byte)
    }
    return text
  }

  #array(count: number, depth: number, slot: number): unknown[] {
    const array: unknown[] = []
    if (slot >= 0) this.#shared[slot] = array
    for (let index = 0; index < count; index++) array.push(this.item(depth - 1))
    return array
  }

  #object(count: number, depth: number, slot: number): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    if (slot >= 0) this.#shared[slot] = object
    for (let index = 0; index < count; index++) {
      const key = this.item(0)
      if (typeof key !== 'string' || key === '__proto__') invalid('a key of an object is not a string, or is __proto__')
      object[key as string] = this.item(depth - 1)
    }
    return object
  }

  #simple(initial: number): unknown {
    switch (initial) {
      case 0xf4:
        return false
      case 0xf5:
        return true
      case 0xf6:
        return null
      case 0xf7:
        return undefined
      case 0xfa:
        return this.#bytes.readFloatBE(this.#skip(4))
      case 0xfb:
        return this.#bytes.readDoubleBE(this.#skip(8))
      default:
        return invalid(`item type 0x${initial.toString(16)} is not allowed`)
    }
  }

  #tagged(tag: number, depth: number, slot: number): unknown {
    if (!this.#isState) invalid(`tag ${tag} is not allowed`)
    switch (tag) {
      case 1:
        return this.#date(depth)
      case 2:
        return this.#big(depth)
      case 3:
        return -1n - this.#big(depth)
      case 27:
        return this.#regExp(depth)
      case 28:
        return this.#share(depth)
      case 29:
        return this.#reference(depth)
      case 258:
        return this.#set(depth, slot)
      case 259:
        return this.#map(depth, slot)
      default: {
        const TypedArray = TYPED_ARRAYS.get(tag) ?? invalid(`tag ${tag} is not allowed`)
        return new TypedArray(new Uint8Array(this.#expect(depth, Buffer.isBuffer, 'bytes')).buffer)
      }
    }
  }

  #expect<T>(depth: number, isIt: (value: unknown) => value is T, what: string): T {
    const value = this.item(depth)
    return isIt(value) ? value : invalid(`a tag needs ${what}`)
  }

  #date(depth: number): Date {
    return new Date(Math.round(this.#expect(depth, isNumber, 'a number') * 1000))
  }

  #big(depth: number): bigint {
    return BigInt(`0x0${this.#expect(depth, Buffer.isBuffer, 'bytes').toString('hex')}`)
  }

  #regExp(depth: number): RegExp {
    const [name, source, flags, ...rest] = this.#expect(depth, Array.isArray, 'an array')
    if (name !== 'RegExp' || typeof source !== 'string' || typeof flags !== 'string' || rest.length > 0)
      invalid('tag 27 is for RegExp only')
    return new RegExp(source as string, flags as string)
  }

  #share(depth: number): unknown {
    const slot = this.#shared.push(UNREAD) - 1
    const value = this.item(depth, slot)
    this.#shared[slot] = value
    return value
  }

  #reference(depth: number): unknown {
    const id = this.#expect(depth, isNumber, 'a number')
    if (!(id in this.#shared) || this.#shared[id] === UNREAD) invalid(`nothing is shared as ${id}`)
    return this.#shared[id]
  }

  #set(depth: number, slot: number): Set<unknown> {
    const set = new Set()
    if (slot >= 0) this.#shared[slot] = set
    for (let left = this.#countOf(4, 1); left > 0; left--) set.add(this.item(depth - 1))
    return set
  }

  #map(depth: number, slot: number): Map<unknown, unknown> {
    const map = new Map()
    if (slot >= 0) this.#shared[slot] = map
    for (let left = this.#countOf(5, 2); left > 0; left--) map.set(this.item(depth - 1), this.item(depth - 1))
    return map
  }

  /** The count of the container a tag stands before. */
  #countOf(major: 4 | 5, least: 1 | 2): number {
    const initial = this.#bytes[this.#skip(1)] as number
    if (initial >> 5 !== major) invalid('a set is an array and a map is a map')
    return this.#count(initial, least)
  }
}

const isNumber = (value: unknown): value is number => typeof value === 'number'

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `CBOR cannot be read: ${why}`)
}
