/** Taking a WebSocket of the library `ws` apart, and putting it together in another process. Looked at, never taken. */
import type { Socket } from 'node:net'
import { constants } from 'node:zlib'
import type { WebSocket, WebSocketServer } from 'ws'
import {
  canReadWindow,
  fullDictionary,
  inflateWindow,
  knowTimeout,
  withoutZerosBefore,
} from '../../sys/node-internals.js'
import {
  DEFLATE,
  deflateOf,
  GET_DATA,
  GET_INFO,
  GET_MASK,
  inside,
  isSending,
  type Library,
  type PrivateDeflate,
  type PrivateReceiver,
} from './internals.js'
import type { Moved, Partial } from './record.js'
import { waitingIn } from './sender.js'

const OPEN = 1
const CLOSED = 3
/** A message of which more than this has come waits for its end, rather than all clients for its copy. */
const LARGEST_PARTIAL = 8 * 1024 * 1024
const NOTHING = Buffer.alloc(0)

/** Why this WebSocket cannot move at this instant, or undefined. Cheap, and changes nothing. */
export function notNow(webSocket: WebSocket): Obstacle | undefined {
  const { _readyState: state, _receiver: receiver, _sender: sender } = inside(webSocket)
  if (state !== OPEN) return ENDING
  if (receiver._state > GET_DATA || receiver.writableLength > 0 || receiver.writableNeedDrain) return RECEIVING
  if (isSending(sender) && waitingIn(sender) === undefined) return SENDING
  if (isPartlyInflated(receiver)) return INFLATED
  if (sizeOf(receiver) > LARGEST_PARTIAL) return LARGE
  if (webSocket.listeners('message').some(isOfStream)) return STREAM
  return undefined
}

export interface Obstacle {
  readonly reason: string
  /** Gone within milliseconds, and at once when nothing more is read or sent. */
  readonly isBrief: boolean
}
const RECEIVING = { reason: 'a message it has received is being worked on', isBrief: true }
const SENDING = { reason: 'a message it sends is being compressed or read', isBrief: true }
const ENDING = { reason: 'its closing handshake is under way', isBrief: false }
const INFLATED = { reason: 'a compressed message has come in part, and been inflated in part', isBrief: false }
const LARGE = { reason: `more than ${LARGEST_PARTIAL >> 20} MiB of a message have come`, isBrief: false }
const STREAM = { reason: 'createWebSocketStream() keeps some of its data', isBrief: false }

/** zlib is in the middle of a block, and cannot be asked for what it knows there. */
function isPartlyInflated(receiver: PrivateReceiver): boolean {
  const { _compressed, _fragmented, _state, _opcode, _totalPayloadLength, _payloadLength } = receiver
  if (!_compressed || _fragmented === 0) return false
  // Unless it is the first frame that is under way: nothing of it has been inflated yet.
  if (_state === GET_INFO || _opcode > 7) return true
  return _totalPayloadLength > (_state >= GET_MASK ? _payloadLength : 0)
}

function sizeOf({ _bufferedBytes, _fragments, _messageLength }: PrivateReceiver): number {
  return _fragments.length === 0 ? _bufferedBytes : _bufferedBytes + _messageLength
}

/** Those of lib/stream.js have names; and most who call a listener so do not push. */
function isOfStream(listener: unknown): boolean {
  return typeof listener === 'function' && listener.name === 'message' && /duplex\.push\(/.test(String(listener))
}

/**
 * What there is of it. Changes nothing.
 * @param isAtWork `notNow` has an obstacle: what can be seen only of one that stands still is left out, and it is looked at once more.
 */
export function look(webSocket: WebSocket, isAtWork: boolean): Omit<Moved, 'head'> {
  const { _protocol, _receiver: receiver, _sender: sender } = inside(webSocket)
  const deflate = deflateOf(webSocket)
  return {
    protocol: _protocol,
    deflate: deflate?.params ?? null,
    window: deflate === undefined || isAtWork ? NOTHING : windowOf(deflate),
    binaryType: webSocket.binaryType,
    // Since 8.4.
    paused: webSocket.isPaused ?? false,
    sendingFragments: !sender._firstFragment,
    sendingCompressed: sender._compress === true,
    partial: isAtWork ? null : partialOf(receiver),
    waiting: isAtWork ? [] : (waitingIn(sender) ?? []),
  }
}

function partialOf(receiver: PrivateReceiver): Partial | null {
  if (receiver._state === GET_INFO && receiver._fragmented === 0 && receiver._bufferedBytes === 0) return null
  return {
    state: receiver._state,
    fin: receiver._fin,
    opcode: receiver._opcode,
    masked: receiver._masked,
    compressed: receiver._compressed,
    mask: receiver._mask ?? null,
    payloadLength: receiver._payloadLength,
    fragmented: receiver._fragmented,
    totalPayloadLength: receiver._totalPayloadLength,
    messageLength: receiver._messageLength,
    numFragments: receiver._numFragments ?? 0,
    buffers: receiver._buffers,
    fragments: receiver._fragments,
  }
}

const hasTakeover = ({ params }: PrivateDeflate): boolean =>
  params !== null && params.client_no_context_takeover !== true

function windowOf(deflate: PrivateDeflate): Uint8Array {
  if (!hasTakeover(deflate)) return NOTHING
  const { _inflate: inflater, params } = deflate
  // Nothing has been inflated here: it is as it came.
  if (inflater === null) return known.get(deflate) ?? NOTHING
  const window = inflateWindow(inflater, params?.client_max_window_bits ?? constants.Z_MAX_WINDOWBITS)
  return window === undefined ? NOTHING : withoutZerosBefore(window)
}

/** What an inflater that is still to be made is to know. */
const known = new WeakMap<PrivateDeflate, Uint8Array>()

/**
 * Where the client may refer back to earlier messages, the inflater is made with a full window: so it can be asked for it.
 * That is once for each connection; nothing is done by the message.
 */
export function prepare(webSocket: WebSocket): void {
  const deflate = deflateOf(webSocket)
  if (deflate !== undefined && hasTakeover(deflate) && canReadWindow()) knowWindow(deflate)
}

function knowWindow(deflate: PrivateDeflate, window?: Uint8Array): void {
  const { zlibInflateOptions } = deflate._options
  const own = (zlibInflateOptions as { dictionary?: Uint8Array } | undefined)?.dictionary
  const bytes = window ?? own ?? NOTHING
  if (bytes.length > 0) known.set(deflate, bytes)
  deflate._options = {
    ...deflate._options,
    zlibInflateOptions: {
      ...zlibInflateOptions,
      // Read when the inflater is made: thousands of them never are.
      get dictionary() {
        return fullDictionary(bytes)
      },
    },
  }
}

/** Builds it around a socket that is held still. Nobody is told, and the server does not know it yet. */
export function rebuild(server: WebSocketServer, library: Library, socket: Socket, moved: Moved): WebSocket {
  const { options } = server
  const webSocket = new library.WebSocket(null, undefined, options)
  const inner = inside(webSocket)
  inner._protocol = moved.protocol
  if (moved.deflate !== null) inner._extensions = { [DEFLATE]: deflateFrom(server, library, moved) }
  const { timeout } = socket
  inner.setSocket(socket, NOTHING, {
    allowSynchronousEvents: options.allowSynchronousEvents,
    maxBufferedChunks: (options as { maxBufferedChunks?: number }).maxBufferedChunks,
    maxFragments: (options as { maxFragments?: number }).maxFragments,
    maxPayload: options.maxPayload,
    skipUTF8Validation: options.skipUTF8Validation,
  })
  // It has set none; what the app has set since goes on.
  if (timeout !== undefined) knowTimeout(socket, timeout)
  refresh(webSocket, moved)
  // Up to 8.2 it is told the number alone.
  inner._receiver._maxPayload = (options.maxPayload ?? 0) | 0
  return webSocket
}

/** Brings one that was rebuilt up to date. */
export function refresh(webSocket: WebSocket, moved: Moved): void {
  const { _receiver: receiver, _sender: sender, _socket: socket } = inside(webSocket)
  webSocket.binaryType = moved.binaryType as WebSocket['binaryType']
  sender._firstFragment = !moved.sendingFragments
  sender._compress = moved.sendingCompressed
  const deflate = deflateOf(webSocket)
  if (deflate !== undefined && hasTakeover(deflate) && canReadWindow()) knowWindow(deflate, moved.window)
  putPartial(receiver, moved.partial ?? AT_REST)
  // The library has paused it itself while it was at work, or has not: here it is not at work.
  if (moved.paused) webSocket.pause?.()
  else if (webSocket.isPaused !== true) socket.resume()
  else webSocket.resume()
}

const AT_REST: Partial = {
  state: GET_INFO,
  fin: false,
  opcode: 0,
  masked: false,
  compressed: false,
  mask: null,
  payloadLength: 0,
  fragmented: 0,
  totalPayloadLength: 0,
  messageLength: 0,
  numFragments: 0,
  buffers: [],
  fragments: [],
}

function putPartial(receiver: PrivateReceiver, partial: Partial): void {
  receiver._state = partial.state
  receiver._fin = partial.fin
  receiver._opcode = partial.opcode
  receiver._masked = partial.masked
  receiver._compressed = partial.compressed
  receiver._mask = partial.mask === null ? undefined : asBuffer(partial.mask)
  receiver._payloadLength = partial.payloadLength
  receiver._fragmented = partial.fragmented
  receiver._totalPayloadLength = partial.totalPayloadLength
  receiver._messageLength = partial.messageLength
  if (receiver._numFragments !== undefined) receiver._numFragments = partial.numFragments
  receiver._buffers = partial.buffers.map(asBuffer)
  receiver._bufferedBytes = partial.buffers.reduce((sum, { length }) => sum + length, 0)
  receiver._fragments = partial.fragments.map(asBuffer)
}

/** Copied: the library unmasks in place, and the row may be given again. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes)

function deflateFrom({ options }: WebSocketServer, library: Library, { deflate }: Moved): PrivateDeflate {
  const own = typeof options.perMessageDeflate === 'object' ? options.perMessageDeflate : {}
  const maxPayload = options.maxPayload ?? 0
  const made = new library.PerMessageDeflate({ ...own, isServer: true, maxPayload }, true, maxPayload)
  made.params = deflate
  // A compressor that begins here may refer to nothing the client does not have: to its own dictionary neither, unless it
  // begins with it before every message.
  if (deflate?.server_no_context_takeover !== true) {
    const { dictionary: _unknown, ...others } = (made._options.zlibDeflateOptions ?? {}) as { dictionary?: unknown }
    made._options = { ...made._options, zlibDeflateOptions: others }
  }
  return made
}

/** It goes on in another process: to whoever has kept it here it is closed, and nobody is told. */
export function retire(webSocket: WebSocket): void {
  const inner = inside(webSocket)
  inner._receiver.removeAllListeners()
  inner._readyState = CLOSED
  deflateOf(webSocket)?.cleanup()
}
