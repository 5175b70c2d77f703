/**
 * Everything of the library `ws` that is private, in one place: seen to be there in 7.5, and in 8.0 to 8.23. The library is
 * not imported: its classes are learned from a handshake that the server at hand makes with nobody, and the fields are
 * looked for in what came of it.
 */

import type net from 'node:net'
import { Duplex } from 'node:stream'
import type { InflateRaw } from 'node:zlib'
import type { WebSocket, WebSocketServer } from 'ws'

/** Of lib/receiver.js: what it stands at. From INFLATING on it waits for the thread pool, or for a later turn. */
export const GET_INFO = 0
export const GET_MASK = 3
export const GET_DATA = 4

export interface PrivateReceiver {
  _state: number
  _fin: boolean
  _opcode: number
  _masked: boolean
  _mask: Uint8Array | undefined
  _payloadLength: number
  /** Opcode of the message whose fragments come, or 0. */
  _fragmented: number
  _compressed: boolean
  /** Of the frames of this message so far, as they came; and inflated. */
  _totalPayloadLength: number
  _messageLength: number
  _numFragments?: number
  _buffers: Uint8Array[]
  _bufferedBytes: number
  _fragments: Uint8Array[]
  _maxPayload: number
  readonly writableLength: number
  readonly writableNeedDrain: boolean
  removeAllListeners(): void
}

/** What `Sender.enqueue` is given, since 8.5: what to call, then its arguments. */
export type Queued = [
  call: unknown,
  data: unknown,
  compress: boolean,
  options: { opcode: number; fin: boolean },
  cb: unknown,
]

export interface PrivateSender {
  _firstFragment: boolean
  _compress: boolean
  /** Up to 8.17 `_deflating`, since then `_state`. */
  _deflating?: boolean
  _state?: number
  _bufferedBytes: number
  _queue: Queued[]
  readonly dispatch: unknown
  dequeue(): void
  send(data: unknown, options: object, cb?: unknown): void
  ping(data: unknown, mask: boolean, cb?: unknown): void
  pong(data: unknown, mask: boolean, cb?: unknown): void
}

export interface DeflateParams {
  server_no_context_takeover?: boolean
  client_no_context_takeover?: boolean
  server_max_window_bits?: number
  client_max_window_bits?: number
}

export interface PrivateDeflate {
  params: DeflateParams | null
  _options: { zlibInflateOptions?: object; zlibDeflateOptions?: object }
  _inflate: InflateRaw | null
  cleanup(): void
}

export interface PrivateWebSocket {
  _protocol: string
  _extensions: Record<string, PrivateDeflate>
  _readyState: number
  _receiver: PrivateReceiver
  _sender: PrivateSender
  _socket: net.Socket
  setSocket(socket: Duplex, head: Buffer, limits: object): void
}

interface PrivateServer {
  /** 0 while it runs, 2 once it is closed. */
  _state: number
  /** close() was called, and waits for the last client. */
  _shouldEmitClose?: boolean
}

type WebSocketClass = new (address: null, protocols: undefined, options: object) => WebSocket
type DeflateClass = new (options: object, isServer: true, maxPayload: number) => PrivateDeflate

export interface Library {
  readonly WebSocket: WebSocketClass
  readonly PerMessageDeflate: DeflateClass
}

export const DEFLATE = 'permessage-deflate'
const NOTHING = Buffer.alloc(0)
const CLOSED = 2

export const inside = (webSocket: WebSocket) => webSocket as unknown as PrivateWebSocket
export const deflateOf = (webSocket: WebSocket): PrivateDeflate | undefined => inside(webSocket)._extensions[DEFLATE]
export const isSending = ({ _deflating, _state }: PrivateSender): boolean =>
  _deflating === true || (_state !== undefined && _state !== 0)

/** From now on all that is sent is queued. */
export function holdSender(sender: PrivateSender): void {
  if (sender._state === undefined) sender._deflating = true
  else sender._state = HELD
}
/** None of lib/sender.js: whatever is not 0 makes it queue. */
const HELD = 9

export function unholdSender(sender: PrivateSender): void {
  if (sender._state === undefined) sender._deflating = false
  else sender._state = 0
}

/** A server whose close() waits for the last client hears of it as if that one had closed. */
export function tellEmpty(server: WebSocketServer): void {
  const inner = server as unknown as PrivateServer
  if (inner._shouldEmitClose !== true || server.clients.size > 0) return
  process.nextTick(() => {
    inner._state = CLOSED
    server.emit('close')
  })
}

/** The classes of the library this server is of; or, as a string, what of it is not there. */
export function learn(server: WebSocketServer): Library | string {
  const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, callback) => callback() })
  // Called up to 8.13 whatever it is.
  Object.assign(duplex, { setTimeout: () => undefined, setNoDelay: () => undefined })
  try {
    const webSocket = handshake(server, duplex)
    if (webSocket === undefined) return 'WebSocketServer.handleUpgrade'
    const deflate = deflateOf(webSocket)
    const missing = missingIn(inside(webSocket)) ?? (deflate === undefined ? DEFLATE : missingInDeflate(deflate))
    if (missing !== undefined || deflate === undefined) return missing ?? DEFLATE
    const own = server.options.WebSocket as unknown as WebSocketClass | undefined
    return {
      WebSocket: own ?? (webSocket.constructor as WebSocketClass),
      PerMessageDeflate: deflate.constructor as DeflateClass,
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    duplex.destroy()
  }
}

/** With the server's own code, on an object that stands before the server: it keeps nothing, says nothing, and asks nobody. */
function handshake(server: WebSocketServer, duplex: Duplex): WebSocket | undefined {
  const options = {
    ...server.options,
    WebSocket: plainClass(server),
    clientTracking: false,
    handleProtocols: null,
    perMessageDeflate: {},
    verifyClient: null,
  }
  const value = <V>(value: V) => ({ value, writable: true })
  const shadow = Object.create(server, {
    options: value(options),
    clients: value(undefined),
    emit: value(() => false),
    shouldHandle: value(() => true),
    _state: value(0),
  }) as WebSocketServer
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
    'sec-websocket-extensions': DEFLATE,
  }
  let made: WebSocket | undefined
  const request = { method: 'GET', url: '/', headers, socket: duplex }
  shadow.handleUpgrade(request as never, duplex, NOTHING, (webSocket) => {
    made = webSocket
  })
  made?.on('error', () => undefined)
  return made
}

/** The library's own class, should the app have one that extends it. */
function plainClass({ options }: WebSocketServer): unknown {
  let own = options.WebSocket as unknown as (new () => object) | null | undefined
  while (own && !Object.hasOwn(own.prototype, 'setSocket')) own = Object.getPrototypeOf(own) as typeof own
  return own ?? undefined
}

/** One fragment and one byte of the next frame: what is left of them must be where it is looked for. */
function missingIn(webSocket: PrivateWebSocket): string | undefined {
  const { _receiver: receiver, _sender: sender } = webSocket
  if (typeof webSocket.setSocket !== 'function' || webSocket._readyState !== 1) return 'WebSocket.setSocket'
  if (typeof webSocket._protocol !== 'string') return 'WebSocket._protocol'
  const stream = receiver as unknown as Duplex
  stream.write(Buffer.from([0x01, 0x82, 0, 0, 0, 0, 0x61, 0x62, 0x80]))
  const expected: Partial<PrivateReceiver> = {
    _state: GET_INFO,
    _fin: false,
    _opcode: 1,
    _masked: true,
    _payloadLength: 2,
    _fragmented: 1,
    _compressed: false,
    _totalPayloadLength: 2,
    _messageLength: 2,
    _bufferedBytes: 1,
  }
  for (const [field, value] of Object.entries(expected))
    if (receiver[field as keyof PrivateReceiver] !== value) return `Receiver.${field}`
  if (receiver._fragments?.[0]?.toString() !== 'ab' || receiver._fragments.length !== 1) return 'Receiver._fragments'
  if (receiver._buffers?.[0]?.length !== 1 || typeof receiver._maxPayload !== 'number') return 'Receiver._buffers'
  stream.write(Buffer.from([0x81, 1, 2, 3, 4]))
  if (receiver._state !== GET_DATA || receiver._mask?.[3] !== 4) return 'Receiver._mask'
  if (sender._firstFragment !== true || typeof sender._compress !== 'boolean') return 'Sender._firstFragment'
  if (sender._bufferedBytes !== 0 || !Array.isArray(sender._queue)) return 'Sender._queue'
  if ((sender._state ?? sender._deflating) === undefined || typeof sender.dequeue !== 'function') return 'Sender._state'
  return undefined
}

function missingInDeflate(deflate: PrivateDeflate): string | undefined {
  if (typeof deflate.params !== 'object' || deflate._inflate !== null || typeof deflate._options !== 'object')
    return 'PerMessageDeflate'
  return typeof deflate.cleanup === 'function' ? undefined : 'PerMessageDeflate.cleanup'
}
