/**
 * One message on a channel: a header of 16 bytes, then CBOR `[kind, fields]`, either inline or in a sealed memfd whose
 * descriptor is the first of the message.
 *
 *     0  u32  magic 'HNDO'      8  u32  sequence, counted from 0 in each direction
 *     4  u8   frame version    12  u32  length of the body in bytes
 *     5  u8   flags (1: the body is in the memfd)
 *     6  u16  descriptors the kind carries, the memfd not counted
 *
 * All big-endian. FRAME_VERSION changes only if this header does: it is what lets a peer of any age be told apart.
 */
import { HandoverError } from '../errors.js'

export const FRAME_VERSION = 1
export const HEADER_BYTES = 16
/** Largest body of one message, in bytes. */
export const MAX_BODY_BYTES = 512 * 1024 * 1024
/** A body above this travels in a memfd: a SEQPACKET message must fit the send buffer (net.core.wmem_default, 208 KiB). */
export const MAX_INLINE_BYTES = 64 * 1024

const MAGIC = 0x484e444f
const EXTERNAL = 1

export interface Header {
  readonly external: boolean
  readonly descriptors: number
  readonly sequence: number
  readonly length: number
}

export function writeHeader(into: Buffer, header: Header): void {
  into.writeUInt32BE(MAGIC, 0)
  into.writeUInt8(FRAME_VERSION, 4)
  into.writeUInt8(header.external ? EXTERNAL : 0, 5)
  into.writeUInt16BE(header.descriptors, 6)
  into.writeUInt32BE(header.sequence, 8)
  into.writeUInt32BE(header.length, 12)
}

/**
 * Reads and checks the header of a whole message.
 * @param received how many descriptors came with it.
 * @param expected the sequence number that must come next; any will do where it is not known.
 * @throws HandoverError HANDOVER_MESSAGE_INVALID
 */
export function readHeader(message: Buffer, received: number, expected: number | undefined): Header {
  if (message.length < HEADER_BYTES) invalid(`it has ${message.length} bytes, the header alone has ${HEADER_BYTES}`)
  if (message.readUInt32BE(0) !== MAGIC) invalid('it does not begin with HNDO')
  const version = message.readUInt8(4)
  if (version !== FRAME_VERSION) invalid(`its frame version is ${version}, this side speaks ${FRAME_VERSION}`)
  const flags = message.readUInt8(5)
  if ((flags & ~EXTERNAL) !== 0) invalid(`flags 0x${flags.toString(16)} are unknown`)
  const external = flags === EXTERNAL
  const descriptors = message.readUInt16BE(6)
  if (descriptors + (external ? 1 : 0) !== received) {
    invalid(`it names ${descriptors}${external ? ' and a memfd' : ''}, but ${received} descriptors came`)
  }
  const sequence = message.readUInt32BE(8)
  if (expected !== undefined && sequence !== expected)
    invalid(`its sequence number is ${sequence}, expected ${expected}`)
  const length = message.readUInt32BE(12)
  if (length > MAX_BODY_BYTES) invalid(`a body of ${length} bytes is over the limit of ${MAX_BODY_BYTES}`)
  const inline = message.length - HEADER_BYTES
  if (inline !== (external ? 0 : length)) invalid(`it names ${length} bytes, but ${inline} are there`)
  return { external, descriptors, sequence, length }
}

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `message cannot be read: ${why}`)
}
