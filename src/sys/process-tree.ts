/** Who started whom, from proc(5). */
import { readFileSync } from 'node:fs'

const MAX_GENERATIONS = 64

/** True when `pid` is a child of `ancestor`, or of a child of its, and so on. Throws when it is gone. */
export function descendsFrom(pid: number, ancestor: number | undefined): boolean {
  let current = pid
  for (let step = 0; step < MAX_GENERATIONS && current > 1; step++) {
    // The name, in parentheses, may hold anything; after it come the state and the parent.
    const stat = readFileSync(`/proc/${current}/stat`, 'latin1')
    current = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    if (current === ancestor) return true
  }
  return false
}
