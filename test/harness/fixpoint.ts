/** What must be the same before and after an upgrade, however it ended. */
import { descriptorSorts, zombiesOf } from './census.js'
import { ask } from './prober.js'
import type { TestSupervisor } from './supervisor.js'
import { scaled } from './timeout.js'

export interface Fixpoint {
  readonly supervisor: Record<string, number>
  readonly runtime: Record<string, number>
  readonly processes: number
  readonly zombies: number
  readonly paths: readonly string[]
}

export async function census(supervisor: TestSupervisor, port: number): Promise<Fixpoint> {
  return censusOf(supervisor, (await ask(port)).pid)
}

/** @param pid of the runtime that serves. */
export function censusOf(supervisor: TestSupervisor, pid: number): Fixpoint {
  return {
    supervisor: descriptorSorts(supervisor.child.pid),
    runtime: descriptorSorts(pid),
    processes: supervisor.processes().length,
    zombies: zombiesOf(supervisor.child.pid).length,
    paths: supervisor.paths(),
  }
}

/** The census once it is as it was, or what it still is after a while: the last connection's end may be on its way. */
export async function censusLike(before: Fixpoint, supervisor: TestSupervisor, port: number): Promise<Fixpoint> {
  return await settled(before, () => census(supervisor, port))
}

/** As censusLike, of whatever takes the census. */
export async function settled<Census>(before: Census, take: () => Promise<Census>): Promise<Census> {
  const giveUpAt = performance.now() + scaled(5_000)
  for (;;) {
    const now = await take()
    if (JSON.stringify(now) === JSON.stringify(before) || performance.now() > giveUpAt) return now
  }
}
