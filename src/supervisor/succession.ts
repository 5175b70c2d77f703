/** Who comes after this supervisor, and who was before: the record it keeps, what it goes on from, and how another image takes over. */
import type { Fleet } from './fleet.js'
import type { Generations } from './generations.js'
import type { Carried, CarriedSocket } from './image.js'
import type { Listeners } from './listeners.js'
import { Memory } from './memory.js'
import type { Settings } from './options.js'
import { bootId, type SupervisorRecord } from './record.js'
import type { Target } from './release.js'
import type { Rendezvous } from './rendezvous.js'
import { Replacement } from './replacement.js'
import { type Past, resume } from './resume.js'
import type { Trials } from './trials.js'
import type { Upgrades } from './upgrades.js'

export interface SuccessionContext {
  /** What this process had open before its execve(2). */
  readonly carried: Carried | undefined
  readonly settings: Settings
  readonly listeners: Listeners
  readonly generations: Generations
  readonly fleet: Fleet
  readonly trials: Trials
  readonly upgrades: Upgrades
  counts(): Pick<SupervisorRecord, 'generations' | 'upgrades' | 'target' | 'lastUpgrade'>
  /** @throws HandoverError HANDOVER_BUSY */
  mustBeFree(): void
}

export class Succession {
  readonly replacement: Replacement
  readonly #context: SuccessionContext
  /** Undefined where nobody is to come after. */
  #memory: Memory | undefined

  constructor(context: SuccessionContext) {
    this.#context = context
    const { settings, listeners, generations, fleet, trials, mustBeFree } = context
    this.replacement = new Replacement({
      timeoutMs: settings.readyTimeoutMs,
      listeners,
      generations,
      trials,
      workers: () => fleet.all,
      memory: () => this.#memory,
      mustBeFree,
      remember: () => this.remember(),
    })
  }

  /** The image before is gone back to should this one not come up: what is open stays so. */
  get hasCome(): boolean {
    return this.#context.carried !== undefined
  }

  /** Of socket units. */
  get inherited(): readonly CarriedSocket[] {
    return this.#context.carried?.sockets.filter(({ isInherited }) => isInherited) ?? []
  }

  get rendezvous(): Rendezvous | undefined {
    return this.#memory?.rendezvous
  }

  /** @throws HandoverError HANDOVER_NAME_TAKEN, HANDOVER_DIRECTORY_UNSAFE */
  open(): void {
    const { directory, logger } = this.#context.settings
    if (directory !== undefined) this.#memory = Memory.open(directory, logger, this.#context.carried?.lock)
  }

  /** Takes over what the supervisor before has left; undefined where there can be nothing. */
  async resume(running: Target['running']): Promise<Past | undefined> {
    const { settings, listeners, generations } = this.#context
    const context = { settings, listeners, generations, isSame: this.hasCome }
    return this.#memory && resume(this.#memory, context, running)
  }

  /** What was resumed is in place: from now on the record is this one's. */
  begin(): void {
    this.#memory?.begin()
    this.remember()
  }

  remember(): void {
    const { counts, generations, fleet, upgrades } = this.#context
    this.#memory?.write({
      ...counts(),
      boot: bootId(),
      starts: generations.starts,
      workers: fleet.count,
      own: fleet.own(),
      under: upgrades.records(),
      processes: generations.rows(),
    })
  }

  close(): void {
    this.replacement.cancel()
    this.#memory?.close()
  }
}
