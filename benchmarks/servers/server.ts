/** What the servers of the benchmarks have in common. */

/** By `exit`, not by the signal's default: only so is the profile of `--cpu-prof` written. */
export function endOnSignal(): void {
  process.once('SIGTERM', () => process.exit(0))
}
