/** A started program: the leader of a session of its own, watched by its pidfd. */
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { binding, POLLIN, type Watcher } from './binding.js'
import { allProcesses, type ProcessRow } from './process-tree.js'

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

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number as number, name]))

export class Program {
  readonly pid: number
  readonly #pidfd: number
  readonly #watcher: Watcher
  #isReaped = false

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

  /** Stays this object's. */
  get pidfd(): number {
    return this.#pidfd
  }

  /** The kernel's word. */
  get hasExited(): boolean {
    return this.#isReaped || binding().poll([this.#pidfd], [POLLIN], 0)[0] !== 0
  }

  /** SIGKILL to all that runs in its session: what it has started and not sent away. */
  sweep(): void {
    if (this.#isReaped) return
    signalAll(-this.pid)
    // Who has left the group has not left the session. Each round finds those whom the last one's were just starting.
    for (let round = 0; round < SWEEPS; round++) {
      let left: ProcessRow[]
      try {
        left = allProcesses().filter(({ session, state }) => session === this.pid && state !== 'Z')
      } catch {
        // No descriptor to look with: the group has gone at least.
        return
      }
      if (left.length === 0) return
      for (const { pid } of left) signalAll(pid)
    }
  }

  /** How it ended, in words. Its number is free afterwards. Only once it has ended. */
  reap(): string {
    const exit = binding().pidfdWait(this.#pidfd)
    this.#isReaped = true
    this.#watcher.close()
    binding().close(this.#pidfd)
    if (exit === undefined) return 'has ended'
    return exit.signal === null
      ? `exited with code ${exit.code}`
      : `was killed by ${SIGNAL_NAMES.get(exit.signal) ?? `signal ${exit.signal}`}`
  }
}

function signalAll(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Nobody is there, or nobody whom this process may end.
  }
}
