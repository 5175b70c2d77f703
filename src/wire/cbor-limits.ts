/**
 * Walks the structure of CBOR (RFC 8949) before it is decoded, without building anything: the other generation is
 * untrusted input, and a decoder believes a count of four billion. Definite lengths only; only the tags our encoder writes.
 */
import { HandoverError } from '../errors.js'

/** 1 date · 2, 3 bignum · 27 RegExp · 28, 29 shared value and reference · 64–87 typed arrays · 258 set · 259 map. */
const isKnownTag = (tag: number) =>
  tag === 1 || tag === 2 || tag === 3 || (tag >= 27 && tag <= 29) || (tag >= 64 && tag <= 87) || tag === 258 || tag === 259

/**
 * @param maxDepth deepest nesting of arrays, maps and tags.
 * @throws HandoverError HANDOVER_MESSAGE_INVALID when `bytes` is not exactly one well-formed item within the limits.
 */
export function checkCbor(bytes: Uint8Array, maxDepth: number): void {
  const end = skipItem(bytes, 0, maxDepth)
  if (end !== bytes.length) invalid(`${bytes.length - end} bytes follow the item`)
}

/** Returns where the item that begins at `at` ends. */
function skipItem(bytes: Uint8Array, at: number, depth: number): number {
  if (at >= bytes.length) invalid('it ends in the middle of an item')
  if (depth < 0) invalid('it is nested too deep')
  const initial = bytes[at] as number
  const major = initial >> 5
  const info = initial & 31
  let argument = info
  let next = at + 1
  if (info >= 24) {
    if (info > 27) invalid(`item type 0x${initial.toString(16)} is not allowed`)
    const width = 1 << (info - 24)
    if (next + width > bytes.length) invalid('it ends in the middle of a length')
    argument = 0
    for (let index = 0; index < width; index++) argument = argument * 256 + (bytes[next + index] as number)
    next += width
  }
  switch (major) {
    case 0:
    case 1:
    case 7:
      return next
    case 2:
    case 3:
      if (argument > bytes.length - next) invalid(`a string of ${argument} bytes is longer than what is left`)
      return next + argument
    case 6:
      if (!isKnownTag(argument)) invalid(`tag ${argument} is not allowed`)
      return skipItem(bytes, next, depth - 1)
    default: {
      const items = major === 5 ? argument * 2 : argument
      if (items > bytes.length - next) invalid(`a count of ${argument} is more than what is left can hold`)
      for (let index = 0; index < items; index++) next = skipItem(bytes, next, depth - 1)
      return next
    }
  }
}

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `CBOR cannot be read: ${why}`)
}
