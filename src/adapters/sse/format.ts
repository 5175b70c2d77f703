/** An event as bytes: the event stream format of the HTML Living Standard, 9.2.5 and 9.2.6. */
import { HandoverError } from '../../errors.js'

export interface ServerEvent {
  /** The event's type; without one it is a 'message'. One line. */
  readonly event?: string
  /** What the client says in Last-Event-ID when it comes back. One line, without NUL; '' makes it forget. */
  readonly id?: string | number | bigint
  /** A string goes as it is, line by line; anything else as JSON. Without it the client is told nothing but the id. */
  readonly data?: unknown
  /** How long the client waits before it reconnects, in milliseconds. */
  readonly retryMs?: number
}

const LINE_END = /\r\n|\r|\n/

/** @throws HandoverError HANDOVER_USAGE */
export function formatEvent({ event, id, data, retryMs }: ServerEvent): Buffer {
  let text = ''
  if (event !== undefined && event !== '') text += `event: ${oneLine('event', event)}\n`
  if (id !== undefined) text += `id: ${oneLine('id', String(id))}\n`
  if (retryMs !== undefined) text += `retry: ${milliseconds(retryMs)}\n`
  if (data !== undefined) for (const line of textOf(data).split(LINE_END)) text += `data: ${line}\n`
  return Buffer.from(`${text}\n`)
}

/** Ignored by the client. */
export function formatComment(text: string): Buffer {
  const lines = text.split(LINE_END).map((line) => (line === '' ? ':\n' : `: ${line}\n`))
  return Buffer.from(`${lines.join('')}\n`)
}

function textOf(data: unknown): string {
  if (typeof data === 'string') return data
  const json = JSON.stringify(data) as string | undefined
  if (json !== undefined) return json
  throw new HandoverError('HANDOVER_USAGE', `the data of an event is a string or JSON, not a ${typeof data}`)
}

function oneLine(what: string, text: string): string {
  if (/[\r\n]/.test(text) || (what === 'id' && text.includes('\0')))
    throw new HandoverError(
      'HANDOVER_USAGE',
      `the ${what} of an event is one line without NUL: ${JSON.stringify(text)}`,
    )
  return text
}

function milliseconds(ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 0) return ms
  throw new HandoverError('HANDOVER_USAGE', `retryMs is a whole number of milliseconds, not ${ms}`)
}
