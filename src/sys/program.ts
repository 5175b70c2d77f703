/** A started program: the leader of a session of its own, watched by its pidfd. */
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { binding, POLLIN, type Watcher } from './binding.js'
import { allProcesses, type ProcessRow, processRow } from './process-tree.js'

/** Rounds after which those who only fork to get away are left alone. */
const SWEEPS = 10

export interface ProgramOptions {
  readonly program: string
  readonly args: readonly string[]
  readonly directory: string
  readonly environment: NodeJS.ProcessEnv
  /** Become 3, 4 … in it. The caller keeps its own. */
  readonly descriptors: readonly number[]
  /** Adds LISTEN_PID. */
  readonly namesItself: boolean
  /** User, group and supplementary groups. Default: those of this process. */
  readonly identity?: readonly number[] | undefined
}

/** The process that all others of a program descend from, or did. */
export interface Leader {
  readonly pid: number
  /** See ProcessRow. */
  readonly startTime: string
  /** Stays this object's. */
  readonly pidfd: number
  /** The kernel's word. */
  readonly hasExited: boolean
  /** SIGKILL to all that runs in its session: what it has started and not sent away. */
  sweep(): void
  /** How it ended, in words. Its number is free afterwards. Only once it has ended. */
  reap(): string
}

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number as number, name]))

export class Program implements Leader {
  readonly pid: number
  readonly #pidfd: number
  readonly #watcher: Watcher
  #isReaped = false
  #startTime: string | undefined

  /**
   * Its standard input is empty, its output goes where this process' does. Throws the system's error.
   * @param onExit it has ended. It is still to be reaped: until then its number, and its session's, are nobody else's.
   */
  constructor(options: ProgramOptions, onExit: () => void) {
    const { program, args, directory, environment, descriptors, namesItself, identity = [] } = options
    const nothing = openSync('/dev/null', 'r')
    try {
      const entries = Object.entries(environment).flatMap(([name, value]) =>
        value === undefined ? [] : `${name}=${value}`,
      )
      const placed = [nothing, 1, 2, ...descriptors]
      const started = binding().spawn(program, [program, ...args], entries, directory, placed, namesItself, identity)
      this.pid = started.pid
      this.#pidfd = started.pidfd
    } finally {
      closeSync(nothing)
    }
    try {
      this.#watcher = binding().watch(this.#pidfd, () => {
        this.#watcher.stop()
        onExit()
      })
    } catch (error) {
      // Nobody would hear of its end.
      signalAll(-this.pid)
      binding().poll([this.#pidfd], [POLLIN], -1)
      binding().pidfdWait(this.#pidfd)
      binding().close(this.#pidfd)
      throw error
    }
    this.#watcher.start(POLLIN)
  }

  /** It keeps its number until it is reaped. */
  get startTime(): string {
    this.#startTime ??= processRow(this.pid).startTime
    return this.#startTime
  }

  get pidfd(): number {
    return this.#pidfd
  }

  get hasExited(): boolean {
    return this.#isReaped || binding().poll([this.#pidfd], [POLLIN], 0)[0] !== 0
  }

  sweep(): void {
    if (!this.#isReaped) sweepSession(this.pid)
  }

  reap(): string {
    const exit = binding().pidfdWait(this.#pidfd)
    this.#isReaped = true
    this.#watcher.close()
    binding().close(this.#pidfd)
    return exit === undefined ? 'has ended' : endingOf(exit)
  }
}

/** How a process ended, in words. */
export function endingOf({ code, signal }: { code: number | null; signal: number | null }): string {
  return signal === null
    ? `exited with code ${code}`
    : `was killed by ${SIGNAL_NAMES.get(signal) ?? `signal ${signal}`}`
}

/** SIGKILL to all that runs in the session of that process, whose number is its own yet. */
export function sweepSession(leader: number): void {
  signalAll(-leader)
  // Who has left the group has not left the session. Each round finds those whom the last one's were just starting.
  for (let round = 0; round < SWEEPS; round++) {
    let left: ProcessRow[]
    try {
      left = allProcesses().filter(({ session, state }) => session === leader && state !== 'Z')
    } catch {
      // No descriptor to look with: the group has gone at least.
      return
    }
    if (left.length === 0) return
    for (const { pid } of left) signalAll(pid)
  }
}

function signalAll(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Nobody is there, or nobody whom this process may end.
  }
}
