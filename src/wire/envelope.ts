/** Captured state as bytes: CBOR with a length and a CRC-32, checked before anything is decoded. */
import { crc32 } from 'node:zlib'
import { Encoder } from 'cbor-x'
import { HandoverError, messageOf } from '../errors.js'
import { type CborLimits, decodeCbor } from './cbor.js'
import { assertPlain, MAX_DEPTH } from './plain.js'

/** Largest captured state of one session or one shared state, in bytes. */
export const MAX_STATE_BYTES = 64 * 1024 * 1024

/** A tag costs a level beside the value it marks (a cycle, a Map), so the wire may be deeper than the state. */
const LIMITS: CborLimits = { depth: MAX_DEPTH * 3, items: 10_000_000, content: 'state' }

// variableMapSize: the fixed form writes 16 bits and would wrap at 65,536 keys. useRecords: no private tags.
const encoder = new Encoder({ structuredClone: true, useRecords: false, mapsAsObjects: true, variableMapSize: true })

export interface Envelope {
  readonly bytes: Uint8Array
  /** CRC-32 of `bytes`. */
  readonly checksum: number
}

/**
 * Encodes captured state.
 * @throws HandoverError HANDOVER_STATE_INVALID when it is not plain data or larger than MAX_STATE_BYTES.
 */
export function sealState(state: unknown): Envelope {
  assertPlain(state)
  const bytes = encoder.encode(state)
  if (bytes.length > MAX_STATE_BYTES) {
    throw new HandoverError(
      'HANDOVER_STATE_INVALID',
      `captured state has ${bytes.length} bytes, the limit is ${MAX_STATE_BYTES}`,
    )
  }
  return { bytes, checksum: crc32(bytes) }
}

/**
 * Decodes captured state of the other generation.
 * @throws HandoverError HANDOVER_STATE_INVALID when checksum, length or structure do not hold.
 */
export function openState(envelope: Envelope): unknown {
  const { bytes, checksum } = envelope
  if (bytes.length > MAX_STATE_BYTES) {
    throw new HandoverError(
      'HANDOVER_STATE_INVALID',
      `state has ${bytes.length} bytes, the limit is ${MAX_STATE_BYTES}`,
    )
  }
  if (crc32(bytes) !== checksum) {
    throw new HandoverError('HANDOVER_STATE_INVALID', `state of ${bytes.length} bytes does not match its checksum`)
  }
  try {
    return decodeCbor(bytes, LIMITS)
  } catch (cause) {
    throw new HandoverError('HANDOVER_STATE_INVALID', `state cannot be decoded: ${messageOf(cause)}`, { cause })
  }
}
