/** Counts as people write them. */
import { HandoverError } from '../errors.js'
import { MAX_WORKERS } from '../supervisor/options.js'

/** @throws HandoverError HANDOVER_USAGE */
export function parseCount(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= MAX_WORKERS) return count
  throw new HandoverError('HANDOVER_USAGE', `${JSON.stringify(text)} is not a number of workers: 1 to ${MAX_WORKERS}`)
}
