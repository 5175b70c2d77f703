/** Durations as people write them. */
import ms, { type StringValue } from 'ms'
import { HandoverError } from '../errors.js'

const MAX_MS = 24 * 60 * 60 * 1000

/** "30s", "500ms", "2m" or plain milliseconds, up to a day. @throws HandoverError HANDOVER_USAGE */
export function parseDuration(text: string): number {
  const value = text.length > 0 && text.length < 20 ? ms(text as StringValue) : undefined
  if (value === undefined || Number.isNaN(value) || value < 0 || value > MAX_MS) {
    throw new HandoverError(
      'HANDOVER_USAGE',
      `${JSON.stringify(text)} is not a duration of 0 to 24h, such as 30s, 500ms or 2m`,
    )
  }
  return value
}

/** For people: three digits and a unit. */
export function formatMs(value: number): string {
  if (value < 1) return `${value.toFixed(2)} ms`
  if (value < 100) return `${value.toFixed(1)} ms`
  if (value < 10_000) return `${Math.round(value).toLocaleString('en')} ms`
  return value < 120_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value / 60_000).toLocaleString('en')} min`
}
