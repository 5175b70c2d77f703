/** Counts as people write them. */
import { HandoverError } from '../errors.js'
import { MAX_WORKERS } from '../supervisor/options.js'

const MAX_CRASHES = 1000

/** @throws HandoverError HANDOVER_USAGE */
export const parseCount = (text: string): number => parse(text, 'workers', MAX_WORKERS)

/** @throws HandoverError HANDOVER_USAGE */
export const parseCrashes = (text: string): number => parse(text, 'crashes', MAX_CRASHES)

/** Which of them. @throws HandoverError HANDOVER_USAGE */
export const parseWorker = (text: string): number => parse(text, 'a worker', MAX_WORKERS - 1, 0)

function parse(text: string, what: string, most: number, least = 1): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : -1
  if (count >= least && count <= most) return count
  throw new HandoverError('HANDOVER_USAGE', `${JSON.stringify(text)} is not a number of ${what}: ${least} to ${most}`)
}
