/** Messages to bytes and back, for one direction of one channel. Pure: no sockets, clock or timers. */
import { Encoder } from 'cbor-x'
import * as v from 'valibot'
import { HandoverError } from '../errors.js'
import { type CborLimits, decodeCbor } from './cbor.js'
import type { Fields, Message, MessageRow, MessageTable } from './messages.js'

// Nested state is opaque bytes here, so these bound our own messages only.
const LIMITS: CborLimits = { depth: 16, items: 1_000_000, content: 'message' }

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, tagUint8Array: false })

export function encodeBody<T extends MessageTable, K extends keyof T & string>(kind: K, fields: Fields<T, K>): Buffer {
  return encoder.encode([kind, fields])
}

/**
 * Decodes and checks a body.
 * @param from who the other side is: a message only the own side may send is invalid.
 * @param descriptors how many came with the message, the memfd not counted.
 * @throws HandoverError HANDOVER_MESSAGE_INVALID
 */
export function decodeBody<T extends MessageTable>(
  table: T,
  from: MessageRow['from'],
  body: Uint8Array,
  descriptors: number,
): Pick<Message<T>, 'kind' | 'fields'> {
  const [kind, fields] = readPair(body)
  const row = typeof kind === 'string' && Object.hasOwn(table, kind) ? table[kind] : undefined
  if (row === undefined || row.from !== from)
    invalid(
      `${from} may not send a message of kind ${typeof kind === 'string' ? JSON.stringify(kind.slice(0, 80)) : typeof kind}`,
    )
  const checked = v.safeParse(row.fields, fields)
  if (!checked.success) {
    const issue = checked.issues[0]
    // It quotes what was received, which may be megabytes.
    invalid(`"${String(kind)}": ${v.getDotPath(issue) ?? 'its fields'}: ${issue.message.slice(0, 200)}`)
  }
  const wanted = descriptorsOf(row, checked.output)
  if (wanted !== descriptors) invalid(`"${String(kind)}" needs ${wanted} descriptors, ${descriptors} came`)
  return { kind, fields: checked.output } as Pick<Message<T>, 'kind' | 'fields'>
}

function descriptorsOf({ descriptors }: MessageRow, fields: unknown): number {
  if (typeof descriptors === 'number') return descriptors
  const { length } = (fields as { sessions: unknown[] }).sessions
  return descriptors === 'sessions' ? length : length + 1
}

function readPair(body: Uint8Array): unknown[] {
  const value = decodeCbor(body, LIMITS)
  if (!Array.isArray(value) || value.length !== 2) invalid('it is not [kind, fields]')
  return value
}

function invalid(why: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `message refused: ${why}`)
}
