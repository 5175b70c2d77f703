/**
 * Processes that programs leave behind: a daemon has left its parent and its session, and would go on accepting beside its
 * replacement. As a subreaper (prctl(2)) this process becomes their parent, ends them, and reaps them.
 */
import { binding } from '../sys/binding.js'
import { allProcesses, type ProcessRow, startedWith } from '../sys/process-tree.js'

/** Each round ends those that the last one's were just starting. */
const ROUNDS = 50
const LOOK_EVERY_MS = 10

export class Orphans {
  readonly #isKnown: (pid: number) => boolean
  readonly #onChild = () => this.#reap()

  /** @param isKnown of a child that somebody else here reaps. */
  constructor(isKnown: (pid: number) => boolean) {
    this.#isKnown = isKnown
  }

  /** From now on, for the whole process: every child that is not known is an orphan. */
  adopt(): void {
    binding().adoptOrphans()
    process.on('SIGCHLD', this.#onChild)
    // Of an execve(2) before: those whose end nobody has heard of.
    this.#reap()
  }

  /** Ends them all; resolves when they are gone. */
  async close(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const left = this.#all()
      if (left.length === 0) break
      for (const { pid } of left) kill(pid)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      this.#reap()
    }
    process.removeListener('SIGCHLD', this.#onChild)
  }

  #all(): ProcessRow[] {
    return seen().filter(({ pid, parent }) => parent === process.pid && !this.#isKnown(pid))
  }

  #reap(): void {
    for (const { pid, state } of this.#all()) {
      if (state !== 'Z') continue
      // Its number is its own as long as it is not reaped, and only this process does that.
      try {
        const pidfd = binding().pidfdOpen(pid)
        binding().pidfdWait(pidfd)
        binding().close(pidfd)
      } catch {
        // No descriptor to be had: with the next that ends.
        return
      }
    }
  }
}

/**
 * Ends whoever was started with this NOTIFY_SOCKET, wherever it has gone: the address is of one generation, and none can
 * guess it. One that has written over its environment is not found (nginx as a daemon).
 */
export function endStartedWith(notifySocket: string): void {
  for (let round = 0; round < ROUNDS; round++) {
    const left = seen().filter(({ pid, state }) => state !== 'Z' && startedWith(pid, 'NOTIFY_SOCKET') === notifySocket)
    if (left.length === 0) return
    for (const { pid } of left) kill(pid)
  }
}

/** Nobody, when this process has no descriptor to look with. */
function seen(): ProcessRow[] {
  try {
    return allProcesses()
  } catch {
    return []
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}
