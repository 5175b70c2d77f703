/** A worker that is one too many: when the others have committed it gives all it has to one of them, drains, and is gone. */
import { messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Account, type PairResult } from './account.js'
import { drain } from './drain.js'
import { Facts } from './facts.js'
import type { Generation } from './generation.js'
import { type Give, give } from './give.js'
import type { Settings } from './options.js'

/** What it gives away is sessions; a program that does not join has none. */
const NO_PORTS: ReadonlySet<number> = new Set()

export class Departure {
  readonly worker: number
  readonly predecessor: Generation
  readonly #taker: Generation
  readonly #settings: Settings
  readonly #isKnown: (generation: Generation) => Promise<void>
  readonly #facts: Facts
  readonly #account = new Account()
  #give: Give | undefined
  #isGoing = false
  #isStopped = false

  /** @param isKnown resolves when it is known whether all that a process served has been handed over. */
  constructor(
    predecessor: Generation,
    taker: Generation,
    settings: Settings,
    isKnown: (generation: Generation) => Promise<void>,
  ) {
    this.#isKnown = isKnown
    this.worker = predecessor.worker
    this.predecessor = predecessor
    this.#taker = taker
    this.#settings = settings
    this.#facts = new Facts(predecessor, taker)
  }

  /** Resolves with true when it goes; with false when it stays, and serves on. */
  async begins(): Promise<boolean> {
    const { predecessor } = this
    const { checkMs, drainMs } = this.#settings
    const facts = this.#facts
    await predecessor.ask(checkMs)
    let failed: readonly { reason: string }[] | undefined
    try {
      this.#give = give(predecessor, this.#taker, this.#settings)
      void this.#give.given.then((given) => {
        failed = given?.reasons ?? []
        facts.look()
      })
    } catch (error) {
      failed = [{ reason: messageOf(error) }]
    }
    const isKnown = () => facts.committed !== undefined || failed !== undefined || !predecessor.alive
    if (!(await facts.until(checkMs * 2, isKnown)))
      this.#account.fail(`it did not begin to go within ${checkMs * 2} ms`)
    this.#isGoing = facts.committed !== undefined || !predecessor.alive
    if (facts.committed !== undefined) {
      // Its part of the upgrade: nothing at the one instant, and the rest after it.
      facts.active = { sessions: 0, pauseMs: null, listeners: [] }
      predecessor.hasHandedOver = true
      predecessor.drains(nowMs() + drainMs)
    } else if (!predecessor.alive) {
      const { lastStatus, ending } = predecessor
      const sessions = lastStatus?.sessions.reduce((sum, { count }) => sum + count, 0) ?? 0
      this.#account.drop(
        `the predecessor ${ending} before it could give them away`,
        sessions + (lastStatus?.unregistered ?? 0),
      )
    } else for (const { reason } of failed ?? []) this.#account.fail(`it was one too many, and stays: ${reason}`)
    return this.#isGoing
  }

  async ends(): Promise<PairResult> {
    const { predecessor } = this
    const [from, to] = [predecessor.side, this.#taker.side]
    if (this.#facts.committed !== undefined)
      await drain(predecessor, this.#taker, this.#facts, this.#account, this.#settings, {
        isLossNoted: false,
        ports: NO_PORTS,
        isStopped: () => this.#isStopped,
        followed: async () => (await this.#give?.taken)?.sessions ?? 0,
      })
    await this.#noteTaker()
    this.#facts.close()
    const serves = this.#isGoing ? 'successor' : 'predecessor'
    return this.#account.result(this.#facts, { serves, from, to })
  }

  /** What it had taken is gone with it, unless that was handed over in its turn. */
  async #noteTaker(): Promise<void> {
    const taker = this.#taker
    if (taker.alive) return
    await this.#isKnown(taker)
    if (taker.hasHandedOver || this.#isStopped) return
    this.#account.drop(`the worker that took them ${taker.ending} after that`, this.#account.moved(this.#facts))
  }

  /** SIGTERM, and after `graceMs` SIGKILL. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true
    await this.predecessor.stop(graceMs)
  }
}
