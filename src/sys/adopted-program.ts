/** A program that another process has started, or this one before its execve(2): named by its number and its start time. */
import { constants } from 'node:os'
import { binding, POLLIN, type Watcher } from './binding.js'
import { isGone, processRow } from './process-tree.js'
import { endingOf, type Leader, sweepSession } from './program.js'

export interface KnownProcess {
  readonly pid: number
  readonly startTime: string
}

/**
 * The pidfd of that process; undefined when it has ended, though another may have its number by now. The caller owns it.
 * Throws the system's error when that cannot be said.
 */
export function openKnown({ pid, startTime }: KnownProcess): number | undefined {
  let pidfd: number | undefined
  try {
    pidfd = binding().pidfdOpen(pid)
    // Looked at after it is held: what has this number now keeps it, as long as it is alive, and this descriptor is of that one.
    const row = processRow(pid)
    if (row.startTime === startTime && row.state !== 'Z') return pidfd
  } catch (error) {
    // EINVAL of pidfd_open(2): the number is that of a thread by now, and no process' any more.
    if (!isGone(error) && (error as NodeJS.ErrnoException).code !== 'EINVAL') {
      if (pidfd !== undefined) binding().close(pidfd)
      throw error
    }
  }
  if (pidfd !== undefined) binding().close(pidfd)
  return undefined
}

export class AdoptedProgram implements Leader {
  readonly pid: number
  readonly startTime: string
  readonly #pidfd: number
  readonly #watcher: Watcher
  #isReaped = false

  /** Throws when there is no such process any more. */
  constructor(known: KnownProcess, onExit: () => void) {
    this.pid = known.pid
    this.startTime = known.startTime
    const pidfd = openKnown(known)
    if (pidfd === undefined) throw new Error(`process ${known.pid} has ended`)
    this.#pidfd = pidfd
    try {
      this.#watcher = binding().watch(pidfd, () => {
        this.#watcher.stop()
        onExit()
      })
    } catch (error) {
      binding().close(pidfd)
      throw error
    }
    this.#watcher.start(POLLIN)
  }

  get pidfd(): number {
    return this.#pidfd
  }

  get hasExited(): boolean {
    return this.#isReaped || binding().poll([this.#pidfd], [POLLIN], 0)[0] !== 0
  }

  /** Once it has ended its number may be a stranger's. */
  sweep(): void {
    if (this.hasExited) return
    sweepSession(this.pid)
    binding().pidfdSignal(this.#pidfd, constants.signals.SIGKILL)
  }

  reap(): string {
    this.#isReaped = true
    this.#watcher.close()
    try {
      const exit = binding().pidfdWait(this.#pidfd)
      return exit === undefined ? 'has ended' : endingOf(exit)
    } catch {
      // It is no child of this process: only its parent hears how it ended.
      return 'has ended (how is not known: a supervisor before this one had started it)'
    } finally {
      binding().close(this.#pidfd)
    }
  }
}
