/** The options that say how a program is started and ended. */
import { resolve } from 'node:path'
import type { ReadyWhen, Release } from '../supervisor/index.js'
import { parseDuration } from './duration.js'

export interface ProgramFlags {
  readonly ready?: string
  readonly settle?: string
  readonly stopSignal?: string
  readonly envFile: readonly string[]
}

/** Those that were given. What they may be is checked with the release. @throws HandoverError HANDOVER_USAGE */
export function programOptions({
  ready,
  settle,
  stopSignal,
  envFile,
}: ProgramFlags): Pick<Release, 'ready' | 'settleMs' | 'stopSignal' | 'environmentFiles'> {
  return {
    ...(ready === undefined ? {} : { ready: ready as ReadyWhen }),
    ...(settle === undefined ? {} : { settleMs: parseDuration(settle) }),
    ...(stopSignal === undefined ? {} : { stopSignal: stopSignal.toUpperCase() as NodeJS.Signals }),
    ...(envFile.length === 0 ? {} : { environmentFiles: envFile.map((path) => resolve(path)) }),
  }
}
