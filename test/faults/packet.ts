/** Packets as the relay sees them: which message one is, and how it can be spoilt. */
import { readSealed } from '../../src/sys/memfd.js'
import { decodeCbor } from '../../src/wire/cbor.js'
import { HEADER_BYTES } from '../../src/wire/frame.js'

export interface Packet {
  readonly bytes: Uint8Array
  readonly descriptors: readonly number[]
}

const FLAGS_AT = 5
const DESCRIPTORS_AT = 6
const LENGTH_AT = 12

/** Kind and fields of a message of any table, also of one this test does not know. */
export function readMessage({ bytes, descriptors }: Packet): { kind: string; fields?: unknown } {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isExternal = header.readUInt8(FLAGS_AT) !== 0
  const body = isExternal ? readSealed(descriptors[0]!, header.readUInt32BE(LENGTH_AT)) : header.subarray(HEADER_BYTES)
  const [kind, fields] = decodeCbor(body, { depth: 16, items: 1_000_000, content: 'message' }) as [string, unknown]
  return { kind, fields }
}

/** The same length and descriptors; of the bytes nothing, or nothing but the header, is left. */
export function garbled(bytes: Uint8Array, seed: number): Buffer {
  const garbage = Buffer.from(bytes)
  let state = seed | 1
  const isHeaderKept = seed % 2 === 1 && bytes.length > HEADER_BYTES
  for (let at = isHeaderKept ? HEADER_BYTES : 0; at < garbage.length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    garbage[at] = state >>> 24
  }
  return garbage
}

/** The header names as many descriptors as now come: the count is wrong for the kind, not for the frame. */
export function withDescriptorCount(bytes: Uint8Array, count: number): Buffer {
  const changed = Buffer.from(bytes)
  const memfds = changed.readUInt8(FLAGS_AT) === 0 ? 0 : 1
  changed.writeUInt16BE(Math.max(0, count - memfds), DESCRIPTORS_AT)
  return changed
}
