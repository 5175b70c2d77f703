/**
 * Everything of Node that is private, in one place. Seen to hold on Node 20, 22, 24 and 26; `unsupported()` tests it on
 * the Node at hand, once, and whoever wants to move sockets asks it first: when a field is gone, sockets are drained.
 */
import net from 'node:net'

interface Handle {
  readonly fd: number
  readonly writeQueueSize: number
  close(callback?: () => void): void
  listen(backlog: number): number
}
interface Buffered {
  chunk: Uint8Array | string
  encoding: BufferEncoding
  callback: (error?: Error | null) => void
}
interface WriteRequest {
  readonly handle?: unknown
  /** Of a single write; since Node 26 of several at once, too. */
  readonly buffer?: Uint8Array | readonly unknown[] | null
  /** Of several writes at once, up to Node 24: Buffers, or chunk and encoding in turns when there is a string among them. */
  readonly _chunks?: readonly unknown[]
  oncomplete: (...ignored: unknown[]) => void
}
interface PrivateSocket {
  _handle: Handle | null
  _peername?: object
  connecting: boolean
  _unrefTimer(): void
  _onTimeout(): void
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
    decoder: { lastNeed: number; lastTotal: number; lastChar: Buffer } | null
  }
}
interface Timeout {
  _idleStart: number
  _idleTimeout: number
  _onTimeout: unknown
  readonly _destroyed: boolean
}
interface PrivateProcess {
  _getActiveRequests(): WriteRequest[]
}
interface PrivateNet {
  _createServerHandle(address: null, port: null, addressType: null, fd: number): Handle | number
}

const ignore = () => undefined
const inside = (socket: net.Socket) => socket as unknown as PrivateSocket

/** The descriptor of a socket that is open, else undefined. Node owns it. */
export function descriptorOf(socket: net.Socket | net.Server): number | undefined {
  const fd = inside(socket as net.Socket)._handle?.fd
  return fd !== undefined && fd >= 0 ? fd : undefined
}

/**
 * Makes every later write of this socket keep its bytes readable until they are sent. A string written alone is copied
 * into libuv, where nothing can read it back; turned into a Buffer first, it stays on the write request.
 */
export function keepOutputReadable(socket: net.Socket): void {
  inside(socket)._writableState.decodeStrings = true
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
  const buffered = state.getBuffer()
  const queued = handle?.writeQueueSize ?? 0
  if (queued === 0 && buffered.length === 0) return Buffer.alloc(0)
  const parts: Uint8Array[] = []
  if (queued > 0) {
    for (const request of inFlight.get(handle) ?? []) for (const part of bytesInFlight(request)) parts.push(part)
    const flying = Buffer.concat(parts)
    if (flying.length < queued) return undefined
    parts.splice(0, parts.length, flying.subarray(flying.length - queued))
  }
  for (const { chunk, encoding } of buffered) parts.push(toBytes(chunk, encoding))
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
  const parts: Uint8Array[] = []
  let index = 0
  for (const chunk of buffer) if (index++ >= (bufferIndex ?? 0)) parts.push(toBytes(chunk, encoding ?? 'utf8'))
  if (decoder !== null && decoder.lastNeed > 0)
    parts.push(decoder.lastChar.subarray(0, decoder.lastTotal - decoder.lastNeed))
  return Buffer.concat(parts)
}

/** Timers that were armed to fire earlier than their socket's timeout says, and have not been refreshed since. */
const armedEarly = new WeakMap<Timeout, { readonly start: number; readonly leftMs: number }>()

/** Milliseconds until the socket's own idle timer fires: Infinity when it has, until the next activity; undefined when there is none. */
export function idleLeftMs(socket: net.Socket): number | undefined {
  const timer = timerOf(socket)
  if (timer === undefined || socket.timeout === undefined || socket.timeout === 0) return undefined
  if (timer._destroyed) return Number.POSITIVE_INFINITY
  const early = armedEarly.get(timer)
  const wholeMs = early?.start === timer._idleStart ? early.leftMs : timer._idleTimeout
  return Math.max(1, wholeMs - Math.max(0, timerClockMs() - timer._idleStart))
}

/** The clock of `_idleStart`. It began some tens of milliseconds after performance.now(), and only a timer tells it. */
function timerClockMs(): number {
  const timer = setTimeout(ignore, 1)
  clearTimeout(timer)
  return (timer as unknown as Timeout)._idleStart
}

/** Arms the idle timer to fire in `leftMs` once (Infinity: not at all), and after the next activity in the full `timeoutMs`. */
export function resumeIdleTimer(socket: net.Socket, timeoutMs: number, leftMs: number): void {
  const firstMs = Math.max(1, Math.min(leftMs, timeoutMs))
  socket.setTimeout(firstMs)
  const timer = timerOf(socket)
  if (timer === undefined) {
    socket.setTimeout(timeoutMs)
  } else if (leftMs === Number.POSITIVE_INFINITY) {
    // As it is left by its own firing: refresh() arms it again.
    const { _onTimeout } = timer
    clearTimeout(timer as unknown as NodeJS.Timeout)
    Object.assign(timer, { _onTimeout, _idleTimeout: timeoutMs })
  } else {
    // Read by refresh(); until then the timer is in the list of those that take `firstMs`.
    timer._idleTimeout = timeoutMs
    armedEarly.set(timer, { start: timer._idleStart, leftMs: firstMs })
  }
  ;(socket as { timeout?: number }).timeout = timeoutMs
}

function timerOf(socket: net.Socket): Timeout | undefined {
  const key = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'timeout')
  return key === undefined ? undefined : ((socket as unknown as Record<symbol, Timeout | null>)[key] ?? undefined)
}

/** Who decides over a held socket. */
export interface Gate {
  /** True from commit on: the next use of the socket wakes it. */
  isLive(): boolean
  /** The socket is used: must call `settle`, and `release` in the end. */
  wake(): void
  /** The app has written to the socket, or ended it, while it was held. */
  onWanted(): void
  /** The app has destroyed the socket while it was held. */
  onLeft(): void
}

/**
 * Holds an adopted socket still: reads and writes wait for `release`, exactly as they do in Node for a socket that is
 * still connecting (lib/net.js: _writeGeneric, _read and _final ask `connecting`, and wait for 'connect'). That question is
 * also how a socket is noticed that is used first thing after commit. Addresses stay known. A timeout the app sets does not
 * fire: the client is served elsewhere, and is not idle; whoever releases the socket sets it again.
 */
export function hold(socket: net.Socket, peer: object | undefined, gate: Gate): void {
  // The kernel no longer knows the peer of a reset connection, and while connecting Node does not ask.
  if (socket.remoteAddress === undefined && peer !== undefined) inside(socket)._peername = peer
  inside(socket)._onTimeout = ignore
  Object.defineProperty(socket, 'connecting', {
    configurable: true,
    enumerable: true,
    get() {
      if (gate.isLive()) {
        gate.wake()
        return inside(socket).connecting
      }
      if (socket.writableLength > 0 || socket.writableEnded) gate.onWanted()
      return true
    },
    set(value: boolean) {
      settle(socket, value)
      gate.onLeft()
    },
  })
}

/** `connecting` is an ordinary field again, and timeouts fire. */
export function settle(socket: net.Socket, connecting: boolean): void {
  Reflect.deleteProperty(socket, '_onTimeout')
  Object.defineProperty(socket, 'connecting', {
    configurable: true,
    enumerable: true,
    writable: true,
    value: connecting,
  })
}

/** Lets a held, settled socket go: its first read and write happen after this. */
export function release(socket: net.Socket): void {
  inside(socket).connecting = false
  socket.emit('connect')
}

/**
 * Closes this process' copy of a socket another process has taken over: no FIN, no 'close', no write callback, nothing the
 * app could take for the end of the connection. libuv closes the descriptor itself, which also takes it out of epoll: the
 * other process keeps the description alive, and epoll would go on waking us for it.
 */
export function abandon(socket: net.Socket, inFlight: Map<unknown, WriteRequest[]>): void {
  const { _handle: handle, _writableState: state } = inside(socket)
  for (const request of inFlight.get(handle) ?? []) request.oncomplete = ignore
  for (const entry of state.getBuffer()) entry.callback = ignore
  // The callbacks of end(): destroy() would call them with an error.
  for (const key of Object.getOwnPropertySymbols(state)) {
    const value = key.description?.startsWith('kOnFinished')
      ? (state as unknown as Record<symbol, unknown>)[key]
      : undefined
    if (Array.isArray(value)) value.length = 0
  }
  socket.removeAllListeners()
  socket.on('error', ignore)
  socket.destroy()
}

/**
 * Sets Node's caches of a socket's options to what the kernel says, which is the one truth about them: a stale cache makes
 * setNoDelay(false) a silent no-op.
 */
export function matchOptions(
  socket: net.Socket,
  options: { noDelay: boolean; keepAlive: boolean; keepAliveIdleSeconds: number },
): void {
  const caches: Record<string, unknown> = {
    kSetNoDelay: options.noDelay,
    kSetKeepAlive: options.keepAlive,
    kSetKeepAliveInitialDelay: options.keepAliveIdleSeconds,
  }
  const fields = socket as unknown as Record<symbol, unknown>
  for (const key of Object.getOwnPropertySymbols(socket)) {
    if (key.description !== undefined && key.description in caches) fields[key] = caches[key.description]
  }
}

/** Calls `onActive` on every read and write, by the hook Node's own idle timer uses, until `unwatchActivity`. */
export function watchActivity(socket: net.Socket, onActive: () => void): void {
  const refresh = inside(socket)._unrefTimer
  inside(socket)._unrefTimer = () => {
    onActive()
    refresh.call(socket)
  }
}

export function unwatchActivity(socket: net.Socket): void {
  Reflect.deleteProperty(socket, '_unrefTimer')
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

/** Marks the readable side as ended without an event: the app has had its 'end' in another process. */
export function endReadableSilently(socket: net.Socket): void {
  const state = inside(socket)._readableState
  state.ended = true
  state.endEmitted = true
}

/** The same of the writable side: the FIN is out, and the app has had its 'finish'. */
export function endWritableSilently(socket: net.Socket): void {
  const state = inside(socket)._writableState
  state.ending = true
  state.ended = true
  state.finished = true
}

/** Hands bytes to libuv ahead of everything the stream holds, right before a held socket is released. */
export function writeFirst(socket: net.Socket, bytes: Uint8Array): void {
  inside(socket).connecting = false
  inside(socket)._writeGeneric(false, bytes, 'buffer', () => undefined)
}

export interface HeldListener {
  /** From now on connections are accepted. Throws when listen(2) fails. */
  release(): void
}

/**
 * Listens on an inherited listener without accepting yet: `server.listening` and `server.address()` are as they will be,
 * but listen(2), and with it the watch for connections, waits for `release`.
 * @param fd a duplicate the server may own.
 */
export function listenHeld(server: net.Server, fd: number, backlog: number): HeldListener {
  const handle = (net as unknown as PrivateNet)._createServerHandle(null, null, null, fd)
  if (typeof handle === 'number') throw new Error(`the listener (descriptor ${fd}) cannot be opened: errno ${-handle}`)
  handle.listen = () => 0
  server.listen({ _handle: handle, backlog } as net.ListenOptions)
  return {
    release() {
      Reflect.deleteProperty(handle, 'listen')
      // listen(2) on a listening socket only sets its backlog: always the same one, or the queue would shrink.
      const errno = handle.listen(backlog)
      if (errno !== 0) throw new Error(`listen failed: errno ${-errno}`)
    },
  }
}

function toBytes(chunk: Uint8Array | string, encoding: BufferEncoding): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

let tested: string | undefined | null = null

/** What of the above this Node does not have, or undefined when all of it is there. */
export function unsupported(): string | undefined {
  if (tested === null) tested = selfTest()
  return tested
}

function selfTest(): string | undefined {
  const socket = new net.Socket()
  try {
    const { _writableState: writable, _readableState: readable } = inside(socket)
    keepOutputReadable(socket)
    if (writable.decodeStrings !== true || typeof writable.getBuffer !== 'function') return 'stream.Writable state'
    if (typeof readable?.buffer?.[Symbol.iterator] !== 'function') return 'stream.Readable state'
    if (typeof (process as unknown as PrivateProcess)._getActiveRequests !== 'function')
      return 'process._getActiveRequests'
    if (typeof (net as unknown as PrivateNet)._createServerHandle !== 'function') return 'net._createServerHandle'
    for (const hook of ['_unrefTimer', '_onTimeout', '_writeGeneric'] as const)
      if (typeof inside(socket)[hook] !== 'function') return `net.Socket ${hook}`
    socket.setTimeout(1000)
    const timer = timerOf(socket)
    if (typeof timer?._idleTimeout !== 'number' || typeof timer._idleStart !== 'number') return 'socket timer'
    if (timer._destroyed !== false || typeof timer._onTimeout !== 'function') return 'socket timer state'
    socket.pause()
    socket.push(Buffer.from('ab'))
    if (unreadInput(socket).toString() !== 'ab') return 'stream.Readable buffer'
    return undefined
  } catch (error) {
    return String(error)
  } finally {
    socket.destroy()
  }
}
