/** Payloads that do not fit a message: a memfd, sealed before it is sent, checked for its seals before it is read. */
import { fstatSync, readSync, writeSync } from 'node:fs'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from './binding.js'

/** A sealed memfd with `bytes` in it. The caller owns the descriptor. */
export function writeSealed(bytes: Uint8Array): number {
  const fd = binding().memfd('handover')
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at)
    binding().seal(fd)
    return fd
  } catch (error) {
    binding().close(fd)
    throw error
  }
}

/**
 * The content of a memfd of exactly `length` bytes. Does not close it.
 * @throws HandoverError HANDOVER_MESSAGE_INVALID when it is not sealed (it could shrink under the reader) or has another size.
 */
export function readSealed(fd: number, length: number): Buffer {
  let sealed = false
  try {
    sealed = binding().isSealed(fd)
  } catch {
    // EINVAL: no memfd at all.
  }
  const { size } = fstatSync(fd)
  if (!sealed || size !== length) {
    throw new HandoverError(
      'HANDOVER_MESSAGE_INVALID',
      `a payload of ${length} bytes came in a ${sealed ? 'memfd' : 'file without seals'} of ${size}`,
    )
  }
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let at = 0; at < length; ) {
    const read = readSome(fd, bytes, at)
    if (read === 0) throw new HandoverError('HANDOVER_MESSAGE_INVALID', `a payload of ${length} bytes ends after ${at}`)
    at += read
  }
  return bytes
}

function readSome(fd: number, bytes: Buffer, at: number): number {
  try {
    return readSync(fd, bytes, at, bytes.length - at, at)
  } catch (cause) {
    // EBADF: the seals are those of a memfd, but the peer opened this descriptor of it for writing only.
    throw new HandoverError(
      'HANDOVER_MESSAGE_INVALID',
      `a payload of ${bytes.length} bytes cannot be read: ${messageOf(cause)}`,
      { cause },
    )
  }
}
