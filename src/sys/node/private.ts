/** The private fields that are used, with their types, and how to get at them. */
import type net from 'node:net'

export interface Handle {
  readonly fd: number
  readonly writeQueueSize: number
  onread: unknown
  reading: boolean
  readStart(): number
  readStop(): number
  open(fd: number): number
  close(callback?: () => void): void
  listen(backlog: number): number
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, idleSeconds: number, ...probes: readonly (number | undefined)[]): number
  setTypeOfService?(tos: number): number
  hasRef?(): boolean
  ref?(): void
  unref?(): void
  getAsyncId(): number
}
export interface Buffered {
  chunk: Uint8Array | string
  encoding: BufferEncoding
  callback: (error?: Error | null) => void
}
export interface WriteRequest {
  readonly handle?: unknown
  /** Of a single write; since Node 26 of several at once, too. */
  readonly buffer?: Uint8Array | readonly unknown[] | null
  /** Of several writes at once, up to Node 24: Buffers, or chunk and encoding in turns when there is a string among them. */
  readonly _chunks?: readonly unknown[]
  oncomplete: (...ignored: unknown[]) => void
}
export interface PrivateSocket {
  _handle: Handle | null
  _peername?: object
  readonly _events: object
  connecting: boolean
  allowHalfOpen: boolean
  _unrefTimer(): void
  _onTimeout(): void
  _getsockname(): object
  /** Since Node 24, as setTypeOfService. */
  getTypeOfService(): number
  _writeGeneric(writev: false, data: Uint8Array, encoding: 'buffer', callback: (error?: Error | null) => void): void
  _writableState: {
    decodeStrings: boolean
    ending: boolean
    ended: boolean
    finished: boolean
    getBuffer(): Buffered[]
  }
  _readableState: {
    buffer: ArrayLike<Uint8Array | string> & Iterable<Uint8Array | string>
    bufferIndex?: number
    encoding: BufferEncoding | null
    ended: boolean
    endEmitted: boolean
    /** Destinations of pipe() that are full: it has paused the socket itself. */
    awaitDrainWriters: object | null
    decoder: { lastNeed: number; lastTotal: number; lastChar: Buffer } | null
  }
}

export const ignore = () => undefined
export const inside = (socket: net.Socket) => socket as unknown as PrivateSocket
/** Fields by symbol. */
export const fieldsOf = (of: object) => of as Record<symbol, unknown>

/** The symbol of that name among an object's own: one for all objects of its kind. */
export function symbolOf(of: object, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(of).find((symbol) => symbol.description === name)
}

/** The descriptor of a socket that is open, else undefined. Node owns it. */
export function descriptorOf(socket: net.Socket | net.Server): number | undefined {
  const fd = inside(socket as net.Socket)._handle?.fd
  return fd !== undefined && fd >= 0 ? fd : undefined
}

export function toBytes(chunk: Uint8Array | string, encoding: BufferEncoding): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}
