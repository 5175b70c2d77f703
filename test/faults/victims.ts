/** What happens to a process from outside: signals by pid, and its limit of descriptors. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { descriptorsOf, isRunning, processFact } from '../harness/census.js'
import { until } from '../harness/timeout.js'

const run = promisify(execFile)

export async function kill(pid: number): Promise<void> {
  signal(pid, 'SIGKILL')
  await until(() => !isRunning(pid), `the end of process ${pid}`)
}

/** Returns when the process stands still, or is no more. */
export async function stop(pid: number): Promise<void> {
  signal(pid, 'SIGSTOP')
  await until(() => !isRunning(pid) || processFact(pid)?.state === 'T', `process ${pid} to stop`)
}

/** Nothing when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** From now on every new descriptor is EMFILE; returns what gives the process its limit back. */
export async function exhaustDescriptors(pid: number): Promise<() => Promise<void>> {
  if (!isRunning(pid)) return async () => undefined
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1'))![1]!
  const used = descriptorsOf(pid)
  let lowestFree = 0
  while (used.has(lowestFree)) lowestFree += 1
  const limit = async (count: number | string): Promise<void> => {
    try {
      await run('prlimit', ['--pid', String(pid), `--nofile=${count}:`])
    } catch (error) {
      // Who has said its last word may be gone by itself between the look and the call.
      if (isRunning(pid)) throw error
    }
  }
  await limit(lowestFree)
  return () => limit(soft)
}
