/** What the workers serve, from one supervisor to the next: into keepers and bags at the end, and back at the start. */
import { messageOf } from '../errors.js'
import { closeAll } from '../sys/channel.js'
import type { Generation } from './generation.js'
import { packed, park, unpark } from './keeper.js'
import type { Settings } from './options.js'
import type { Worker } from './worker.js'

export class KeptSessions {
  readonly #settings: Settings
  readonly #spawn: (worker: number, number: number) => Generation

  /** @param spawn starts a keeper for that worker. Throws when there is no process to be had. */
  constructor(settings: Settings, spawn: (worker: number, number: number) => Generation) {
    this.#settings = settings
    this.#spawn = spawn
  }

  /** What the supervisor before has kept, each worker is to begin with. Never throws: what cannot be had is lost, and said. */
  async restore(workers: readonly Worker[]): Promise<void> {
    const bags = new Map<Worker, number[]>()
    for (const { worker: index, descriptors } of this.#settings.sessionStore?.take() ?? []) {
      // There may be fewer of them now.
      const worker = workers[index % workers.length] as Worker
      bags.set(worker, [...(bags.get(worker) ?? []), ...descriptors])
    }
    await Promise.all([...bags].map(([worker, descriptors]) => this.#restore(worker, descriptors)))
  }

  /** What each worker serves is kept, as far as it can be; who serves it is gone by then. Never throws. */
  async keep(workers: readonly Worker[]): Promise<void> {
    await Promise.all(workers.map((worker) => this.#keep(worker)))
  }

  /** That worker is to go, and has nobody to take over what is kept for it. */
  release({ index, starts }: Worker): void {
    if (starts.keeper === undefined) return
    this.#settings.logger.error({ worker: index }, 'the sessions that were kept for a worker that goes are lost')
    void starts.releaseKeeper()
  }

  async #restore(worker: Worker, descriptors: readonly number[]): Promise<void> {
    const { logger } = this.#settings
    try {
      const keeper = this.#spawn(worker.index, 1)
      const { sessions, reasons } = await unpark(keeper, descriptors, this.#settings)
      logger[reasons.length === 0 ? 'info' : 'error']({ worker: worker.index, sessions, reasons }, 'sessions were kept')
      worker.starts.takeOverFrom(keeper)
    } catch (error) {
      logger.error({ worker: worker.index, error: messageOf(error) }, 'the sessions that were kept are lost')
    }
  }

  async #keep({ index, serving, starts }: Worker): Promise<void> {
    const { logger } = this.#settings
    try {
      const parked = serving?.joins
        ? await park(serving, this.#spawn(index, serving.number), this.#settings)
        : starts.keeper && { reasons: [], ...(await packed(starts.keeper, this.#settings)) }
      if (parked === undefined) return
      const { bags, sessions, reasons } = parked
      const isKept = await this.#settings.sessionStore?.keep(index, bags)
      closeAll(bags)
      if (isKept) logger.info({ worker: index, sessions, reasons }, 'sessions are kept for the next supervisor')
      else logger.error({ worker: index, sessions }, 'the store has not taken all sessions, or has not said so in time')
    } catch (error) {
      logger.error({ worker: index, error: messageOf(error) }, 'the sessions are not kept')
    }
  }
}
