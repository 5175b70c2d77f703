/** What of a stream travels beside its socket and the app's own state. */
import { HandoverError } from '../../errors.js'

/** Of a connection whose stream has ended, between two requests, there is no stream to tell of. */
export const IDLE = null

export interface StreamRecord {
  readonly chunked: boolean
  /** The connection ends with the stream. */
  readonly last: boolean
  /** The app has closed it; its last bytes are on their way. */
  readonly closing: boolean
  readonly lastEventId: string
  /** When the next heartbeat is due, on the machine's monotonic clock (nowMs); null without heartbeats. */
  readonly heartbeatAtMs: number | null
}

const FLAGS = ['chunked', 'last', 'closing'] as const

/** `[flags, lastEventId, heartbeatAtMs]`; later places may be added. */
export function toRow(record: StreamRecord): unknown[] {
  let flags = 0
  for (let bit = 0; bit < FLAGS.length; bit++) if (record[FLAGS[bit]!]) flags |= 1 << bit
  return [flags, record.lastEventId, record.heartbeatAtMs]
}

/** @throws HandoverError HANDOVER_MESSAGE_INVALID: the other generation may be anything. */
export function fromRow(row: unknown): StreamRecord {
  if (!Array.isArray(row) || row.length < 3) invalid('is not a row of 3')
  const [flags, lastEventId, heartbeatAtMs] = row
  if (!Number.isSafeInteger(flags) || flags < 0 || flags >= 1 << FLAGS.length) invalid('has unknown flags')
  if (typeof lastEventId !== 'string') invalid('has no last event id')
  if (heartbeatAtMs !== null && !Number.isFinite(heartbeatAtMs)) invalid('has no time for its heartbeat')
  const bit = (index: number): boolean => (flags & (1 << index)) !== 0
  return { chunked: bit(0), last: bit(1), closing: bit(2), lastEventId, heartbeatAtMs }
}

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `the description of an event stream ${why}`)
}
