/**
 * A stream of pseudo-random bytes of which every position can be computed alone: so the first wrong byte has a name, and
 * bytes in a wrong place can be told from wrong bytes.
 */

/** Finalizer of MurmurHash3 over key and word number. */
function wordAt(key: number, index: number): number {
  let hash = Math.imul(index + 1, 0x9e3779b1) ^ key
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The bytes of stream `key` from `position` on. */
export function keystream(key: number, position: number, length: number): Buffer {
  const first = Math.floor(position / 4)
  const words = new Uint32Array(Math.ceil((position + length) / 4) - first)
  for (let index = 0; index < words.length; index += 1) words[index] = wordAt(key, first + index)
  return Buffer.from(words.buffer, position - first * 4, length)
}

/** One direction of a connection has a key of its own. */
export const keyOf = (seed: number, direction: 'up' | 'down'): number => (seed * 2 + (direction === 'up' ? 0 : 1)) | 0

/** Index of the first byte that is not the stream's, or -1. */
export function firstWrong(key: number, position: number, bytes: Uint8Array): number {
  const expected = keystream(key, position, bytes.length)
  if (expected.equals(bytes)) return -1
  return expected.findIndex((byte, index) => byte !== bytes[index])
}

const SEARCH_WINDOW = 4 * 1024 * 1024
const NEEDLE = 12

/** What must have happened, in words: the bytes at hand are looked for before and behind where they should be. */
export function explain(key: number, position: number, bytes: Uint8Array): string {
  const wrong = firstWrong(key, position, bytes)
  if (wrong === -1) return 'nothing wrong'
  const at = position + wrong
  const needle = bytes.subarray(wrong, wrong + NEEDLE)
  const start = Math.max(0, at - SEARCH_WINDOW)
  const found = needle.length < NEEDLE ? -1 : keystream(key, start, at - start + SEARCH_WINDOW).indexOf(needle)
  if (found === -1) return `wrong byte at position ${at}`
  const there = start + found
  return there > at ? `${there - at} bytes lost at position ${at}` : `${at - there} bytes doubled at position ${at}`
}
