/**
 * What a raw inflater remembers: the last 2^windowBits bytes of its output, which what comes next may refer to. zlib has a
 * function for it (inflateGetDictionary) that Node does not call; but the inflater can be asked in its own language. A
 * deflate block that says "copy 2^windowBits bytes from 2^windowBits bytes ago" makes it put out its window, and leaves the
 * very same window behind: nothing has changed. It takes 5 to 60 µs, and nothing at any other time.
 *
 * It must have put out so much before, or the distance is refused. One that was created with `fullDictionary` always has.
 */
import { constants, createInflateRaw, type InflateRaw } from 'node:zlib'
import { ignore } from './private.js'

interface PrivateInflater {
  readonly _handle: {
    onerror: unknown
    writeSync(flush: number, from: Buffer, at: number, length: number, to: Buffer, toAt: number, room: number): void
  } | null
  /** Room that is left in the output, input that is left: written by the handle. */
  readonly _writeState: Uint32Array
  readonly _writableState: { readonly writing: boolean }
}

const questions = new Map<number, Buffer>()
const ZEROS = Buffer.alloc(1 << constants.Z_MAX_WINDOWBITS)

/** A dictionary that ends in these bytes and fills the window. Nobody refers to what he has not sent: what is before them is never used. */
export function fullDictionary(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return ZEROS
  if (bytes.length >= ZEROS.length) return Buffer.from(bytes.subarray(bytes.length - ZEROS.length))
  return Buffer.concat([ZEROS.subarray(bytes.length), bytes])
}

/** The bytes that `fullDictionary` makes the same dictionary of. */
export function withoutZerosBefore(window: Uint8Array): Uint8Array {
  let from = 0
  while (from < window.length && window[from] === 0) from++
  return window.subarray(from)
}

/**
 * The window of an inflater that stands between two flushed messages; undefined when it is at work, is closed, or stands in
 * the middle of a block, where no sender may leave it (RFC 7692, 7.2.1).
 */
export function inflateWindow(inflater: InflateRaw, windowBits: number): Buffer | undefined {
  const { _handle: handle, _writeState: left, _writableState: state } = inflater as unknown as PrivateInflater
  // A handle at work in the thread pool must not be used: it would abort the process.
  if (handle === null || state.writing || inflater.writableLength > 0) return undefined
  const question = questionOf(windowBits)
  const window = Buffer.allocUnsafe(1 << windowBits)
  const { onerror } = handle
  handle.onerror = ignore
  try {
    handle.writeSync(constants.Z_SYNC_FLUSH, question, 0, question.length, window, 0, window.length)
  } finally {
    handle.onerror = onerror
  }
  return left[0] === 0 && left[1] === 0 ? window : undefined
}

/** RFC 1951, 3.2.6: a block of fixed codes, all of it copies of 256 bytes; then an empty stored block, which ends at a whole byte. */
function questionOf(windowBits: number): Buffer {
  const known = questions.get(windowBits)
  if (known !== undefined) return known
  let bits = '010'
  // Codes are written from their first bit, numbers from their last.
  const copy256 = `11000100${lastBitFirst(256 - 227, 5)}`
  const from = `${(2 * windowBits - 1).toString(2).padStart(5, '0')}${'1'.repeat(windowBits - 2)}`
  for (let length = 0; length < 1 << windowBits; length += 256) bits += copy256 + from
  bits += '0000000'
  bits += '000'
  while (bits.length % 8 > 0) bits += '0'
  const bytes = bits.match(/.{8}/g) as string[]
  const question = Buffer.from([...bytes.map((byte) => Number.parseInt(lastFirst(byte), 2)), 0x00, 0x00, 0xff, 0xff])
  questions.set(windowBits, question)
  return question
}

const lastFirst = (bits: string): string => [...bits].reverse().join('')
const lastBitFirst = (value: number, length: number): string => lastFirst(value.toString(2).padStart(length, '0'))

let tested: boolean | undefined

/** Whether it works with this Node's zlib. */
export function canReadWindow(): boolean {
  tested ??= selfTest()
  return tested
}

function selfTest(): boolean {
  const inflater = createInflateRaw({ dictionary: fullDictionary(Buffer.from('window')) })
  try {
    for (let times = 0; times < 2; times++) {
      const window = inflateWindow(inflater, constants.Z_MAX_WINDOWBITS)
      if (window === undefined || Buffer.from(withoutZerosBefore(window)).toString() !== 'window') return false
    }
    return true
  } catch {
    return false
  } finally {
    inflater.close()
  }
}
