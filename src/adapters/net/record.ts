/** What of a connected socket travels, as one row of plain data: thousands of them are written and read in an upgrade. */
import { HandoverError } from '../../errors.js'

export interface Described {
  readonly allowHalfOpen: boolean
  /** 'end' has been emitted: the app knows, and must not be told twice. */
  readonly readEnded: boolean
  /** end() was called; with `finSent` the FIN is out too. */
  readonly writeEnded: boolean
  readonly finSent: boolean
  readonly paused: boolean
  /** It does not keep the process alive. */
  readonly unrefed: boolean
  /** Node's caches of the options; the kernel keeps the options themselves. */
  readonly noDelay: boolean
  readonly keepAlive: boolean
  readonly keepAliveSeconds: number
  readonly type: 'TCP' | 'Pipe'
  readonly timeoutMs: number
  /** When the idle timer fires, on the machine's monotonic clock (nowMs); null when it has, and is not to before the next activity. */
  readonly idleAtMs: number | null
  /** Counted so far; what is unsent counts again where it is written. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly peer: { readonly address: string; readonly port: number; readonly family: string } | null
  readonly unread: Uint8Array
  readonly unsent: Uint8Array
}

/** Bits of the first place. */
const FLAGS = [
  'allowHalfOpen',
  'readEnded',
  'writeEnded',
  'finSent',
  'paused',
  'noDelay',
  'keepAlive',
  'unrefed',
] as const
const PIPE = 1 << FLAGS.length

const NOTHING = Buffer.alloc(0)
const LENGTH = 11

/** `[flags, timeoutMs, idleAtMs, bytesRead, bytesWritten, keepAliveSeconds, address, port, family, unread, unsent]` */
export function toRow(described: Described): unknown[] {
  let flags = described.type === 'Pipe' ? PIPE : 0
  for (let bit = 0; bit < FLAGS.length; bit++) if (described[FLAGS[bit]!]) flags |= 1 << bit
  const { timeoutMs, idleAtMs, bytesRead, bytesWritten, keepAliveSeconds, peer, unread, unsent } = described
  return [
    flags,
    timeoutMs,
    idleAtMs,
    bytesRead,
    bytesWritten,
    keepAliveSeconds,
    peer?.address ?? null,
    peer?.port ?? 0,
    peer?.family ?? null,
    unread.length === 0 ? null : unread,
    unsent.length === 0 ? null : unsent,
  ]
}

/** @throws HandoverError HANDOVER_MESSAGE_INVALID when it is not such a row: the other generation may be anything. */
export function fromRow(row: unknown): Described {
  if (!Array.isArray(row) || row.length !== LENGTH) invalid('is not a row of 11')
  const [flags, timeoutMs, idleAtMs, bytesRead, bytesWritten, keepAliveSeconds, address, port, family] = row
  if (!isLength(flags) || flags >= PIPE << 1) invalid('has unknown flags')
  for (const length of [bytesRead, bytesWritten, port]) if (!isLength(length)) invalid('has a number that is none')
  // Node takes fractions of a millisecond, and idle times the kernel refuses.
  if (!isTimeout(timeoutMs) || !Number.isSafeInteger(keepAliveSeconds)) invalid('has a time that is none')
  if (idleAtMs !== null && !Number.isFinite(idleAtMs)) invalid('has no time for its idle timer')
  const isKnown = address !== null
  if (isKnown ? typeof address !== 'string' || typeof family !== 'string' : family !== null || port !== 0)
    invalid('has half an address')
  const bit = (index: number): boolean => (flags & (1 << index)) !== 0
  return {
    allowHalfOpen: bit(0),
    readEnded: bit(1),
    writeEnded: bit(2),
    finSent: bit(3),
    paused: bit(4),
    noDelay: bit(5),
    keepAlive: bit(6),
    unrefed: bit(7),
    keepAliveSeconds,
    type: (flags & PIPE) === 0 ? 'TCP' : 'Pipe',
    timeoutMs,
    idleAtMs,
    bytesRead,
    bytesWritten,
    peer: isKnown ? { address, port, family } : null,
    unread: bytesOf(row[9]),
    unsent: bytesOf(row[10]),
  }
}

const isLength = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** What setTimeout() takes. It has kept in `socket.timeout`, too, what it has thrown for. */
export const isTimeout = (value: unknown): value is number => Number.isFinite(value) && (value as number) >= 0

function bytesOf(value: unknown): Uint8Array {
  if (value === null) return NOTHING
  return value instanceof Uint8Array ? value : invalid('has bytes that are none')
}

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `the description of a socket ${why}`)
}
