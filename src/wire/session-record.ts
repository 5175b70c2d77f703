/** One session in a batch or an update. Arrays, and checks by hand: thousands of them lie inside the pause. */

/** Most sessions, and so descriptors, of one batch. The kernel's limit is 253; an unprivileged sender's is what is in flight. */
export const MAX_BATCH = 128
/** Most sessions of one `move`: each of them is still for as long as the whole takes. */
export const MAX_MOVE = 16
/** Most sessions of one update, and ids of one `gone`: they bring no descriptors. */
export const MAX_UPDATE = 1024

/** Captured state as sent: the envelope's CBOR, or null where none is sent (yet). */
export type StateBytes = Uint8Array | null

/**
 * - id: of the session, unique in its generation and kept by the next
 * - kind: index into the offer's `sessions`
 * - state, and its CRC-32; null and 0 while it is not sent yet
 * - socket: what the transport needs to rebuild the socket (src/adapters/net/record.ts)
 */
export type SessionRecord = readonly [id: number, kind: number, state: StateBytes, checksum: number, socket: unknown]

/** What has changed of a session sent before: its state (with checksum), its socket, or both; null and 0 for what has not. */
export type SessionUpdate = readonly [id: number, state: StateBytes, checksum: number, socket: unknown]

const isState = (state: unknown, checksum: unknown): boolean =>
  Number.isSafeInteger(checksum) &&
  (checksum as number) >= 0 &&
  (checksum as number) <= 0xffffffff &&
  (state instanceof Uint8Array || (state === null && checksum === 0))

export function isSessionRecord(value: unknown): value is SessionRecord {
  return (
    Array.isArray(value) &&
    value.length === 5 &&
    Number.isSafeInteger(value[0]) &&
    Number.isSafeInteger(value[1]) &&
    value[1] >= 0 &&
    isState(value[2], value[3])
  )
}

export function isSessionUpdate(value: unknown): value is SessionUpdate {
  return Array.isArray(value) && value.length === 4 && Number.isSafeInteger(value[0]) && isState(value[1], value[2])
}
