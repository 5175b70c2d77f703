/** CLOCK_MONOTONIC in milliseconds: one clock for all processes of a machine, so instants can travel in messages. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
