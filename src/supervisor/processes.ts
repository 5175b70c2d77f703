/**
 * The processes of one generation: the program that was started, and, when that is not the one that serves, its descendant
 * that does: behind `npm start` or a shell, or the main process a program names by MAINPID.
 */
import { constants } from 'node:os'
import { binding, POLLIN, type Watcher } from '../sys/binding.js'
import { belongsTo, familyOf } from '../sys/process-tree.js'
import type { Leader } from '../sys/program.js'

interface Main {
  readonly pid: number
  readonly pidfd: number
  /** Only while it may outlive the program that was started. */
  readonly watcher: Watcher | undefined
}

export class Processes {
  readonly #program: Leader
  readonly #onEnd: () => void
  #main: Main | undefined

  /**
   * Throws the system's error.
   * @param lead starts the program, or finds it.
   * @param onEnd all is over but for `bury`, which must follow.
   */
  constructor(lead: (onExit: () => void) => Leader, onEnd: () => void) {
    this.#onEnd = onEnd
    this.#program = lead(() => this.#onProgramExit())
  }

  /** Of the process that was started. */
  get startedPid(): number {
    return this.#program.pid
  }

  /** Of the process that was started. */
  get startTime(): string {
    return this.#program.startTime
  }

  get pid(): number {
    return this.#main?.pid ?? this.#program.pid
  }

  /** Of the process that serves. Stays this object's. */
  get pidfd(): number {
    return this.#main?.pidfd ?? this.#program.pidfd
  }

  /** The kernel's word. */
  get hasExited(): boolean {
    return this.#program.hasExited
  }

  /** True of the program, of its descendants, and of who runs in its session; false of a process that has ended. */
  holds(pid: number): boolean {
    return belongsTo(pid, this.#program.pid)
  }

  /** All that live. */
  family(): number[] {
    return familyOf(this.#program.pid)
  }

  /**
   * That process serves, not the one that was started; false when it is none of this generation, or gone.
   * @param outlives the end of the one that was started is not the end: a program that goes on in another process.
   */
  follow(pid: number, outlives: boolean): boolean {
    if (pid === this.pid) return true
    if (!this.holds(pid)) return false
    this.#unfollow()
    if (pid === this.#program.pid) return true
    let pidfd: number
    try {
      pidfd = binding().pidfdOpen(pid)
    } catch {
      return false
    }
    const watcher = outlives ? binding().watch(pidfd, () => this.#onMainExit()) : undefined
    watcher?.start(POLLIN)
    this.#main = { pid, pidfd, watcher }
    return true
  }

  /** To the process that serves. A wrapper passes a signal on, or not. */
  signal(name: NodeJS.Signals): void {
    binding().pidfdSignal(this.pidfd, constants.signals[name])
  }

  /** SIGKILL, to both the process that serves and the one that was started. */
  kill(): void {
    for (const pidfd of [this.#main?.pidfd, this.#program.pidfd])
      if (pidfd !== undefined) binding().pidfdSignal(pidfd, constants.signals.SIGKILL)
  }

  /** SIGKILL to all of them. */
  sweep(): void {
    if (this.#main !== undefined) binding().pidfdSignal(this.#main.pidfd, constants.signals.SIGKILL)
    this.#program.sweep()
  }

  /**
   * Once it has ended: what is left of it is ended too, and its numbers are free. Returns how it ended, in words.
   * @param entirely all of the session, or only the process that serves.
   */
  bury(entirely: boolean): string {
    // What a wrapper leaves behind would serve beside its replacement.
    if (this.#main !== undefined) binding().pidfdSignal(this.#main.pidfd, constants.signals.SIGKILL)
    const isMain = this.#main?.watcher !== undefined
    this.#unfollow()
    // Before it is reaped: until then no stranger can have its session's number.
    if (entirely) this.#program.sweep()
    const ending = this.#program.reap()
    return isMain ? 'has ended (its main process, named by MAINPID)' : ending
  }

  #onProgramExit(): void {
    // Not reaped meanwhile: its number names the session of all that is to be ended with the main process.
    if (this.#main?.watcher !== undefined && !isReadable(this.#main.pidfd)) return
    this.#onEnd()
  }

  #onMainExit(): void {
    this.#main?.watcher?.stop()
    this.#program.sweep()
    // Else its own exit, now certain, is the end.
    if (this.#program.hasExited) this.#onEnd()
  }

  #unfollow(): void {
    this.#main?.watcher?.close()
    if (this.#main !== undefined) binding().close(this.#main.pidfd)
    this.#main = undefined
  }
}

const isReadable = (pidfd: number): boolean => binding().poll([pidfd], [POLLIN], 0)[0] !== 0
