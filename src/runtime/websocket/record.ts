/** What of a WebSocket travels, as one row of plain data: thousands of them are written and read in an upgrade. */
import { HandoverError } from '../../errors.js'
import type { DeflateParams } from './internals.js'
import type { RequestHead } from './request.js'

/** The receiver in the middle of a message. */
export interface Partial {
  readonly state: number
  readonly fin: boolean
  readonly opcode: number
  readonly masked: boolean
  readonly compressed: boolean
  readonly mask: Uint8Array | null
  readonly payloadLength: number
  readonly fragmented: number
  readonly totalPayloadLength: number
  readonly messageLength: number
  readonly numFragments: number
  readonly buffers: readonly Uint8Array[]
  readonly fragments: readonly Uint8Array[]
}

/** A frame that waits for the one before it to be compressed. */
export interface Waiting {
  readonly opcode: number
  readonly fin: boolean
  readonly compress: boolean
  readonly data: string | Uint8Array
}

export interface Moved {
  readonly head: RequestHead
  readonly protocol: string
  readonly deflate: DeflateParams | null
  /** What the client may refer back to; empty without context takeover. */
  readonly window: Uint8Array
  readonly binaryType: string
  readonly paused: boolean
  /** The sender is in the middle of a message the app sends in fragments, compressed or not. */
  readonly sendingFragments: boolean
  readonly sendingCompressed: boolean
  readonly partial: Partial | null
  readonly waiting: readonly Waiting[]
}

/** Places may be added at the end of a row: whoever does not know them takes no notice. */
const FORMAT = 1
const NOTHING = new Uint8Array(0)

export function toRow(moved: Moved): unknown[] {
  const { head, protocol, deflate, window, binaryType, partial, waiting } = moved
  const flags = (moved.paused ? 1 : 0) | (moved.sendingFragments ? 2 : 0) | (moved.sendingCompressed ? 4 : 0)
  return [
    FORMAT,
    [head.method, head.url, head.httpVersion, [...head.rawHeaders]],
    protocol,
    deflate,
    window.length === 0 ? null : window,
    binaryType,
    flags,
    partial === null ? null : partialRow(partial),
    waiting.length === 0
      ? null
      : waiting.map(({ opcode, fin, compress, data }) => [opcode, (fin ? 1 : 0) | (compress ? 2 : 0), data]),
  ]
}

function partialRow(partial: Partial): unknown[] {
  const flags = (partial.fin ? 1 : 0) | (partial.masked ? 2 : 0) | (partial.compressed ? 4 : 0)
  return [
    partial.state,
    flags,
    partial.opcode,
    partial.mask,
    partial.payloadLength,
    partial.fragmented,
    partial.totalPayloadLength,
    partial.messageLength,
    partial.numFragments,
    partial.buffers,
    partial.fragments,
  ]
}

/** @throws HandoverError HANDOVER_MESSAGE_INVALID when it is not such a row: the other generation may be anything. */
export function fromRow(row: unknown): Moved {
  if (!Array.isArray(row) || row[0] !== FORMAT) invalid('is of a format this release does not read')
  const [, head, protocol, deflate, window, binaryType, flags, partial, waiting] = row
  if (!isCount(flags)) invalid('has no flags')
  return {
    head: headOf(head),
    protocol: textOf(protocol, 'protocol'),
    deflate: deflate === null ? null : paramsOf(deflate),
    window: window === null ? NOTHING : bytesOf(window, 'window'),
    binaryType: textOf(binaryType, 'binary type'),
    paused: (flags & 1) !== 0,
    sendingFragments: (flags & 2) !== 0,
    sendingCompressed: (flags & 4) !== 0,
    partial: partial === null ? null : partialOf(partial),
    waiting: waiting === null ? [] : listOf(waiting, 'waiting frames').map(waitingOf),
  }
}

function headOf(row: unknown): RequestHead {
  const [method, url, httpVersion, rawHeaders] = listOf(row, 'request')
  return {
    method: textOf(method, 'method'),
    url: textOf(url, 'url'),
    httpVersion: textOf(httpVersion, 'HTTP version'),
    rawHeaders: listOf(rawHeaders, 'headers').map((each) => textOf(each, 'header')),
  }
}

const YES_OR_NO = ['server_no_context_takeover', 'client_no_context_takeover'] as const
const BITS = ['server_max_window_bits', 'client_max_window_bits'] as const

/** RFC 7692, 7.1: anything else would be made into a window of another size than the client's. */
function paramsOf(value: unknown): DeflateParams {
  if (typeof value !== 'object' || value === null) invalid('has no deflate parameters')
  const said = value as Record<string, unknown>
  const params: DeflateParams = {}
  for (const name of YES_OR_NO) if (said[name] === true) params[name] = true
  for (const name of BITS) {
    const bits = said[name]
    if (bits === undefined) continue
    if (!isCount(bits) || bits < 8 || bits > 15) invalid('has a window that is none')
    params[name] = bits
  }
  return params
}

function partialOf(row: unknown): Partial {
  const places = listOf(row, 'partial message')
  const [state, flags, opcode, mask, payloadLength, fragmented, totalPayloadLength, messageLength, numFragments] =
    places
  const counts = [state, flags, opcode, payloadLength, fragmented, totalPayloadLength, messageLength, numFragments]
  if (!counts.every(isCount) || (state as number) > 4 || (opcode as number) > 15 || (fragmented as number) > 2)
    invalid('has a frame that is none')
  const bit = (value: number) => ((flags as number) & value) !== 0
  const key = mask === null ? null : bytesOf(mask, 'mask')
  if (key !== null && key.length !== 4) invalid('has a mask that is none')
  return {
    state: state as number,
    fin: bit(1),
    masked: bit(2),
    compressed: bit(4),
    opcode: opcode as number,
    mask: key,
    payloadLength: payloadLength as number,
    fragmented: fragmented as number,
    totalPayloadLength: totalPayloadLength as number,
    messageLength: messageLength as number,
    numFragments: numFragments as number,
    buffers: listOf(places[9], 'bytes').map((each) => bytesOf(each, 'bytes')),
    fragments: listOf(places[10], 'fragments').map((each) => bytesOf(each, 'fragment')),
  }
}

function waitingOf(row: unknown): Waiting {
  const [opcode, flags, data] = listOf(row, 'waiting frame')
  if (!isCount(opcode) || opcode > 15 || !isCount(flags)) invalid('has a waiting frame that is none')
  return {
    opcode,
    fin: (flags & 1) !== 0,
    compress: (flags & 2) !== 0,
    data: typeof data === 'string' ? data : bytesOf(data, 'waiting frame'),
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const textOf = (value: unknown, what: string): string => (typeof value === 'string' ? value : invalid(`has no ${what}`))
const listOf = (value: unknown, what: string): unknown[] => (Array.isArray(value) ? value : invalid(`has no ${what}`))

function bytesOf(value: unknown, what: string): Uint8Array {
  return value instanceof Uint8Array ? value : invalid(`has no ${what}`)
}

function invalid(what: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `the record of a WebSocket ${what}`)
}
