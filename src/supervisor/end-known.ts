/** The end of a program that another supervisor has started, and that does not speak with this one. */
import { constants } from 'node:os'
import { openKnown } from '../sys/adopted-program.js'
import { binding, POLLIN } from '../sys/binding.js'
import { sweepSession } from '../sys/program.js'
import { endStartedWith } from './orphans.js'
import type { ProcessRecord } from './record.js'

/**
 * Its stop signal, and after `graceMs` SIGKILL to all of it. Its number is checked against its start time: a stranger may have it.
 * Throws the system's error; what can be found all the same has ended then.
 */
export async function endKnown(row: ProcessRecord, graceMs: number): Promise<void> {
  try {
    await endLeader(row, graceMs)
  } finally {
    // Whoever is left of it, wherever that has gone.
    endStartedWith(row.notify)
  }
}

async function endLeader({ pid, startTime, release }: ProcessRecord, graceMs: number): Promise<void> {
  const pidfd = pid === null || startTime === null ? undefined : openKnown({ pid, startTime })
  if (pid === null || pidfd === undefined) return
  try {
    binding().pidfdSignal(pidfd, constants.signals[release.stopSignal ?? 'SIGTERM'])
    if (await hasEnded(pidfd, graceMs)) return
    sweepSession(pid)
    binding().pidfdSignal(pidfd, constants.signals.SIGKILL)
    await hasEnded(pidfd, undefined)
  } finally {
    binding().close(pidfd)
  }
}

/** False when it has not, within that time. */
async function hasEnded(pidfd: number, withinMs: number | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined
    const end = (ended: boolean) => {
      clearTimeout(timer)
      watcher.close()
      resolve(ended)
    }
    const watcher = binding().watch(pidfd, () => end(true))
    watcher.start(POLLIN)
    if (withinMs !== undefined) timer = setTimeout(() => end(false), withinMs)
  })
}
