/** What Node holds of a connection: bytes written and not sent, read and not consumed. Looked at, never taken. */
import type net from 'node:net'
import { ignore, inside, toBytes, type WriteRequest } from './private.js'

interface PrivateProcess {
  _getActiveRequests(): WriteRequest[]
}

const NOTHING = Buffer.alloc(0)

/**
 * Makes every later write of this socket keep its bytes readable until they are sent. A string written alone is copied
 * into libuv, where nothing can read it back; turned into a Buffer first, it stays on the write request.
 */
export function keepOutputReadable(socket: net.Socket): void {
  inside(socket)._writableState.decodeStrings = true
}

/** Takes that back, for sockets that move only when nothing is unsent: by the string it costs an HTTP server 8 % of its time. */
export function writeStringsDirectly(socket: net.Socket): void {
  inside(socket)._writableState.decodeStrings = false
}

/** The write requests in flight, by the handle they belong to: one walk for all sockets of a freeze. */
export function writesInFlight(): Map<unknown, WriteRequest[]> {
  const byHandle = new Map<unknown, WriteRequest[]>()
  for (const request of (process as unknown as PrivateProcess)._getActiveRequests()) {
    if (request.handle === undefined || !('buffer' in request)) continue
    const before = byHandle.get(request.handle)
    if (before === undefined) byHandle.set(request.handle, [request])
    else before.push(request)
  }
  return byHandle
}

/**
 * What the app has written and the kernel has not taken: the tail of what is in flight in libuv, then what the stream
 * buffers. Only true while the event loop does not turn. `undefined` when bytes in flight cannot be read back.
 */
export function unsentOutput(socket: net.Socket, inFlight: Map<unknown, WriteRequest[]>): Buffer | undefined {
  const { _handle: handle, _writableState: state } = inside(socket)
  const queued = handle?.writeQueueSize ?? 0
  // Behind a FIN nothing is sent any more: see keepUnwritten.
  if ((queued === 0 && socket.writableLength === 0) || socket.writableFinished) return NOTHING
  const parts: Uint8Array[] = []
  if (queued > 0) {
    for (const request of inFlight.get(handle) ?? []) for (const part of bytesInFlight(request)) parts.push(part)
    const flying = Buffer.concat(parts)
    if (flying.length < queued) return undefined
    parts.splice(0, parts.length, flying.subarray(flying.length - queued))
  }
  for (const { chunk, encoding } of state.getBuffer()) parts.push(toBytes(chunk, encoding))
  return Buffer.concat(parts)
}

function bytesInFlight(request: WriteRequest): Uint8Array[] {
  const chunks = request._chunks ?? request.buffer
  if (chunks instanceof Uint8Array) return [chunks]
  if (!Array.isArray(chunks)) return []
  if (chunks.every((chunk) => chunk instanceof Uint8Array)) return chunks
  const pairs = Array.from({ length: chunks.length / 2 }, (_, index) => chunks.slice(index * 2, index * 2 + 2))
  return pairs.map(([chunk, encoding]) => toBytes(chunk as Uint8Array | string, encoding as BufferEncoding))
}

/**
 * What Node has read and the app has not: the stream's buffer, then the half character a decoder holds. Nothing is
 * consumed, so giving a socket back after an abort needs no undoing.
 */
export function unreadInput(socket: net.Socket): Buffer {
  const { buffer, bufferIndex, encoding, decoder } = inside(socket)._readableState
  if (socket.readableLength === 0 && decoder === null) return NOTHING
  const parts: Uint8Array[] = []
  let index = 0
  for (const chunk of buffer) if (index++ >= (bufferIndex ?? 0)) parts.push(toBytes(chunk, encoding ?? 'utf8'))
  if (decoder !== null && decoder.lastNeed > 0)
    parts.push(decoder.lastChar.subarray(0, decoder.lastTotal - decoder.lastNeed))
  return Buffer.concat(parts)
}

/** True when bytes wait in this process: in the stream's buffers, in libuv, or half a character in a decoder. */
export function isBuffering(socket: net.Socket): boolean {
  const { decoder } = inside(socket)._readableState
  return (
    socket.readableLength > 0 ||
    socket.writableLength > 0 ||
    (decoder !== null && decoder.lastNeed > 0) ||
    (inside(socket)._handle?.writeQueueSize ?? 0) > 0
  )
}

/** True while the socket stands still because a destination of its pipe() is full. */
export function isPipeFull(socket: net.Socket): boolean {
  const { awaitDrainWriters } = inside(socket)._readableState
  return awaitDrainWriters instanceof Set ? awaitDrainWriters.size > 0 : awaitDrainWriters !== null
}

/**
 * The FIN is out since the app has written: nothing it wrote can be sent any more, and to try would end in EPIPE, and the
 * half that is still open with it. Its callbacks come when the socket is closed.
 */
export function keepUnwritten(socket: net.Socket): void {
  if (socket.writableLength > 0) inside(socket)._writeGeneric = ignore
}

/** Hands bytes to libuv ahead of everything the stream holds, right before a held socket is released. */
export function writeFirst(socket: net.Socket, bytes: Uint8Array): void {
  inside(socket).connecting = false
  inside(socket)._writeGeneric(false, bytes, 'buffer', ignore)
}

/** Nobody hears any more of what is under way: the bytes go out in another process. */
export function forgetWrites(socket: net.Socket, inFlight: Map<unknown, WriteRequest[]>): void {
  const { _handle: handle, _writableState: state } = inside(socket)
  for (const request of inFlight.get(handle) ?? []) request.oncomplete = ignore
  if (socket.writableLength > 0) for (const entry of state.getBuffer()) entry.callback = ignore
  if (!socket.writableEnded) return
  // The callbacks of end(): destroy() would call them with an error.
  for (const key of Object.getOwnPropertySymbols(state)) {
    const value = key.description?.startsWith('kOnFinished')
      ? (state as unknown as Record<symbol, unknown>)[key]
      : undefined
    if (Array.isArray(value)) value.length = 0
  }
}
