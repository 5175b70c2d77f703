/** What the servers of the benchmarks have in common. */

/** What a successor says once it serves. */
export interface Restored {
  generation: number
  pid: number
  /** On CLOCK_MONOTONIC, in milliseconds. */
  liveAtMs: number
  sessions: number
  /** Of their states. */
  bytes: number
}

/** By `exit`, not by the signal's default: only so is the profile of `--cpu-prof` written. */
export function endOnSignal(): void {
  process.once('SIGTERM', () => process.exit(0))
}
