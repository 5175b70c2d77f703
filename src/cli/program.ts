/** The options that say how a program is started and ended that knows nothing of handover. */
import type { ReadyWhen, Release } from '../supervisor/index.js'
import { parseDuration } from './duration.js'

export interface ProgramFlags {
  readonly ready?: string
  readonly settle?: string
  readonly stopSignal?: string
}

/** Those that were given. What they may be is checked with the release. @throws HandoverError HANDOVER_USAGE */
export function programOptions({
  ready,
  settle,
  stopSignal,
}: ProgramFlags): Pick<Release, 'ready' | 'settleMs' | 'stopSignal'> {
  return {
    ...(ready === undefined ? {} : { ready: ready as ReadyWhen }),
    ...(settle === undefined ? {} : { settleMs: parseDuration(settle) }),
    ...(stopSignal === undefined ? {} : { stopSignal: stopSignal.toUpperCase() as NodeJS.Signals }),
  }
}
