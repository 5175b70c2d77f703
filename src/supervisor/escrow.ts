/** The escrow of one worker: a keeper beside the process that serves, which has checkpoints of its sessions should it crash. */
import { messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { connectEscrow } from './connect.js'
import type { Generation } from './generation.js'
import { becomesReady } from './keeper.js'
import type { Settings } from './options.js'

/** Between two attempts to have one: an upgrade may be under way. */
const AGAIN_MS = 500
/** A crash so soon after a crash may be what was taken over. */
const POISON_MS = 10_000

export class EscrowOfWorker {
  readonly #settings: Settings
  readonly #spawn: (number: number) => Generation
  #serving: Generation | undefined
  #keeper: Generation | undefined
  #takenAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  /** @param spawn starts a keeper for the worker. Throws when there is no process to be had. */
  constructor(settings: Settings, spawn: (number: number) => Generation) {
    this.#settings = settings
    this.#spawn = spawn
  }

  /** That process serves now. */
  follow(serving: Generation): void {
    if (this.#settings.escrowMs === undefined || !serving.canEscrow) return
    this.#serving = serving
    // One that drains has none to offer again.
    serving.on('escrowed', () => serving === this.#serving && this.#again())
    clearTimeout(this.#timer)
    void this.#begin()
  }

  /**
   * Who served has crashed. Returns who has its sessions, as they were last; undefined when nobody has, or that would be the
   * second time in a row.
   */
  take(crashed: Generation): Generation | undefined {
    const keeper = this.#keeper
    this.#keeper = undefined
    clearTimeout(this.#timer)
    if (keeper === undefined) return undefined
    if (crashed === this.#serving && nowMs() - this.#takenAtMs > POISON_MS && keeper.state === 'ready') {
      this.#takenAtMs = nowMs()
      return keeper
    }
    this.#settings.logger.warn(
      { generation: crashed.number },
      'what is in escrow is given up: it may be why it crashed',
    )
    void keeper.kill()
    return undefined
  }

  /** There is to be none from now on. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    void this.#keeper?.kill()
    this.#keeper = undefined
  }

  #again(): void {
    clearTimeout(this.#timer)
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#begin(), AGAIN_MS)
  }

  async #begin(): Promise<void> {
    const serving = this.#serving
    try {
      const keeper = await this.#ready()
      if (this.#isStopped || serving !== this.#serving || serving?.state !== 'serving') return
      connectEscrow(serving, keeper, this.#settings)
    } catch (error) {
      this.#settings.logger.warn({ error: messageOf(error) }, 'there is no escrow yet')
      this.#again()
    }
  }

  async #ready(): Promise<Generation> {
    const known = this.#keeper
    if (known?.alive === true && known.state === 'ready') return known
    if (known?.alive) throw new Error('the keeper only starts')
    const keeper = this.#spawn(this.#serving?.number ?? 1)
    this.#keeper = keeper
    await becomesReady(keeper)
    return keeper
  }
}
