/** A proxy made of a master that stays and workers that serve: a signal to the master replaces the workers. */
import { readdirSync } from 'node:fs'
import { isRunning, processFact } from '../../test/harness/census.js'
import { type Child, startChild, type Teardown } from '../../test/harness/child.js'
import { until } from '../../test/harness/timeout.js'
import { accepts, type Running } from './peer.js'

const workersOf = (master: Child): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && processFact(Number(name))?.parent === master.pid)
    .map(Number)

export async function startMaster(
  t: Teardown,
  command: string,
  args: readonly string[],
  { port, reloadBy }: { port: number; reloadBy: NodeJS.Signals },
): Promise<Running> {
  const master = startChild(t, command, args)
  // SIGTERM makes it end its workers; killed, it would leave them behind.
  const seen = new Set<number>()
  t.teardown(async () => {
    for (const pid of workersOf(master)) seen.add(pid)
    await master.kill('SIGTERM')
    for (const pid of seen) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    await until(() => ![...seen].some(isRunning), 'the end of the workers')
  })
  await accepts(port)
  return {
    port,
    serving: () => {
      const workers = workersOf(master).filter(isRunning)
      for (const pid of workers) seen.add(pid)
      return workers
    },
    reload: async () => {
      const before = new Set(workersOf(master))
      process.kill(master.pid, reloadBy)
      await until(() => workersOf(master).some((pid) => !before.has(pid)), 'a new worker')
    },
  }
}
