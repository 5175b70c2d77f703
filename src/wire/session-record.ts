/** One session in a batch. An array and a check by hand: ten thousand of them lie inside the pause. */
import { crc32 } from 'node:zlib'

/** Most sessions, and so descriptors, of one batch. The kernel's limit is 253; an unprivileged sender's is what is in flight. */
export const MAX_BATCH = 128

/**
 * - id: of the session, unique in its generation and kept by the next
 * - kind: index into the offer's `sessions`
 * - state: the envelope's CBOR, and its CRC-32
 * - socket: what the transport needs to rebuild the socket (src/adapters/net.ts)
 */
export type SessionRecord = readonly [id: number, kind: number, state: Uint8Array, checksum: number, socket: unknown]

export function isSessionRecord(value: unknown): value is SessionRecord {
  return (
    Array.isArray(value) &&
    value.length === 5 &&
    Number.isSafeInteger(value[0]) &&
    Number.isSafeInteger(value[1]) &&
    value[1] >= 0 &&
    value[2] instanceof Uint8Array &&
    Number.isSafeInteger(value[3]) &&
    value[3] >= 0 &&
    value[3] <= 0xffffffff
  )
}

/** Carries the digest of the manifest over one more session: CRC-32 over id and checksum of the state. */
export function digestSession(digest: number, record: SessionRecord): number {
  const bytes = Buffer.allocUnsafe(12)
  bytes.writeDoubleBE(record[0], 0)
  bytes.writeUInt32BE(record[3], 8)
  return crc32(bytes, digest)
}
