/** Collecting garbage at a time of one's own choosing. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { type: 'minor' }) => void

let collect: Collect | undefined | null = null

/**
 * A context that is made while V8's flag is set has `gc`, however the process was started. Takes a millisecond or two, once;
 * where it does not work nothing is collected early, which is all.
 */
export function prepareToCollect(): void {
  if (collect !== null) return
  try {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as Collect
    setFlagsFromString('--no-expose-gc')
  } catch {
    collect = undefined
  }
}

/**
 * Collects the young generation now: what has just been built and lives moves out of it, some milliseconds for thousands of
 * sessions, and soon enough V8 would do it by itself, at a worse time.
 */
export function collectYoung(): void {
  collect?.({ type: 'minor' })
}
