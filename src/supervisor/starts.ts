/** While nobody serves: starts the release in force, again after each crash, with growing delays, until it gives up. */
import { HandoverError, messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Backoff } from './backoff.js'
import { startFirst } from './first.js'
import type { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import type { Settings } from './options.js'

export interface StartsContext {
  readonly settings: Settings
  readonly listeners: Listeners
  /** Starts a process of the release in force. @param number of its generation, if others have it too. */
  spawn(number?: number): Generation
  onServes(generation: Generation): void
  onCrashed(crash: { generation: number; reason: string; delayMs: number }): void
  onGaveUp(error: HandoverError): void
}

/** What a keeper may still say when it is of no use any more. */
const LAST_WORDS_MS = 1_000

interface Start {
  readonly generation: Generation
  /** Resolves when it is known whether it serves. */
  readonly over: Promise<void>
  /** An upgrade takes its place: its end is no crash. */
  isReplaced: boolean
}

export class Starts {
  readonly #context: StartsContext
  #backoff: Backoff
  #starting: Start | undefined
  #retry: { readonly timer: NodeJS.Timeout; readonly atMs: number } | undefined
  #isStopped = false
  #keeper: Generation | undefined

  constructor(context: StartsContext) {
    this.#context = context
    this.#backoff = new Backoff(context.settings.maxCrashes)
  }

  /** Has what was served before, until somebody serves. */
  get keeper(): Generation | undefined {
    return this.#keeper?.alive ? this.#keeper : undefined
  }

  /** What is started next takes over from it. */
  takeOverFrom(keeper: Generation): void {
    this.#keeper = keeper
  }

  /** Somebody serves. Resolves when it is gone. */
  async releaseKeeper(): Promise<void> {
    const keeper = this.#keeper
    // Its account of what has moved comes before the answer.
    await keeper?.ask(LAST_WORDS_MS)
    await keeper?.kill()
    this.#keeper = undefined
  }

  /** Throws when there is no process to be had. */
  begin(number?: number): void {
    if (this.#isStopped || this.#starting !== undefined) return
    clearTimeout(this.#retry?.timer)
    this.#retry = undefined
    const { spawn, onServes, listeners, settings } = this.#context
    const generation = spawn(number)
    const start: Start = {
      generation,
      isReplaced: false,
      over: startFirst(generation, listeners, settings, this.keeper).then((serves) => {
        this.#starting = undefined
        if (serves) onServes(generation)
        else if (!start.isReplaced) this.again(generation.number, generation.ending ?? 'is gone')
      }),
    }
    this.#starting = start
  }

  /** Who served, or was to, is gone: starts the next one later, or gives up. */
  again(generation: number, reason: string): void {
    if (this.#isStopped) return
    const { settings, onCrashed, onGaveUp } = this.#context
    const delayMs = this.#backoff.next(nowMs())
    if (delayMs === undefined) {
      const error = new HandoverError(
        'HANDOVER_CRASHED',
        `the runtime crashed ${settings.maxCrashes} times in a row; the last one ${reason}`,
      )
      settings.logger.error({ generation, reason }, error.message)
      onGaveUp(error)
      return
    }
    settings.logger.error({ generation, reason, delayMs }, 'the runtime crashed and is started again')
    onCrashed({ generation, reason, delayMs })
    this.#beginAt(nowMs() + delayMs)
  }

  /**
   * Who is only starting serves nobody, and makes room for an upgrade; returns true when that was so. Its listeners are
   * closed by then: the release that comes may ask for the same addresses.
   */
  async makeRoom(): Promise<boolean> {
    const start = this.#starting
    if (start === undefined) return false
    // Told to serve, it may have accepted already.
    if (start.generation.state === 'starting') {
      start.isReplaced = true
      start.generation.end()
    }
    await start.over
    return start.isReplaced
  }

  /** An upgrade is tried in place of the next start; what is returned goes on from there should it fail. */
  yield(hasMadeRoom: boolean): () => void {
    const atMs = hasMadeRoom ? nowMs() : this.#retry?.atMs
    clearTimeout(this.#retry?.timer)
    this.#retry = undefined
    return () => {
      if (atMs !== undefined) this.#beginAt(atMs)
    }
  }

  /**
   * Another release is in force: it has not crashed yet.
   * @param atLeast so many crashes it takes to give up, if that is more.
   */
  forgive(atLeast = 1): void {
    this.#backoff = new Backoff(Math.max(atLeast, this.#context.settings.maxCrashes))
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#retry?.timer)
  }

  #beginAt(atMs: number): void {
    if (this.#isStopped) return
    const timer = setTimeout(
      () => {
        this.#retry = undefined
        try {
          this.begin()
        } catch (error) {
          // No descriptor, or no process, to be had: it may be otherwise the next time.
          this.again(0, `could not be started: ${messageOf(error)}`)
        }
      },
      Math.max(0, atMs - nowMs()),
    )
    this.#retry = { atMs, timer }
  }
}
