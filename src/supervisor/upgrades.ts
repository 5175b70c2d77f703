/** The upgrades that have not ended: at most one before its commit, and any number that drain, the oldest first. */
import type { Generation } from './generation.js'
import type { UpgradeRecord } from './record.js'
import type { UpgradeStatus } from './status.js'
import type { Upgrade } from './upgrade.js'

export class Upgrades {
  /** With what is remembered of each. */
  readonly #all = new Map<Upgrade, UpgradeRecord>()

  add(upgrade: Upgrade, begun: Omit<UpgradeRecord, 'startedAt' | 'from' | 'isCommitted'>): void {
    const { side } = upgrade.pairs[0]!.predecessor
    this.#all.set(upgrade, { ...begun, startedAt: new Date().toISOString(), from: side, isCommitted: null })
  }

  [Symbol.iterator](): IterableIterator<Upgrade> {
    return this.#all.keys()
  }

  decide(upgrade: Upgrade, isCommitted: boolean): void {
    const record = this.#all.get(upgrade)
    if (record !== undefined) this.#all.set(upgrade, { ...record, isCommitted })
  }

  delete(upgrade: Upgrade): void {
    this.#all.delete(upgrade)
  }

  get undecided(): Upgrade | undefined {
    return [...this].find(({ isDecided }) => !isDecided)
  }

  /** That process' end is judged when the upgrade is decided that it is the predecessor of. */
  judge(generation: Generation): boolean {
    const { pairs = [], departures = [] } = this.undecided ?? {}
    const isPredecessor = pairs.some(({ isDecided, predecessor }) => !isDecided && predecessor === generation)
    return isPredecessor || departures.some(({ predecessor }) => predecessor === generation)
  }

  /** Resolves when it is known whether all that this process served has been handed over. */
  async isKnown(generation: Generation): Promise<void> {
    const has = ({ pairs }: Upgrade) => pairs.some(({ predecessor }) => predecessor === generation)
    await Promise.all([...this].map((each) => has(each) && each.decided))
  }

  /** Gives up what is not decided, ends all drains. Returns the processes it ends: those that are not to serve. */
  stop(graceMs: number): { processes: ReadonlySet<Generation>; decided: Promise<unknown>; ended: Promise<unknown> } {
    const all = [...this]
    const processes = all.flatMap(({ pairs, departures }) => [
      ...pairs.map(({ isDecided, predecessor, successor }) => (isDecided ? predecessor : successor)),
      ...departures.map(({ predecessor }) => predecessor),
    ])
    return {
      processes: new Set(processes),
      ended: Promise.all(all.map((upgrade) => upgrade.stop(graceMs))),
      decided: Promise.all(all.map((upgrade) => upgrade.decided)),
    }
  }

  status(): UpgradeStatus[] {
    return [...this].map(({ id, phase, pairs }) => ({
      id,
      phase,
      from: pairs[0]!.predecessor.number,
      to: pairs[0]!.successor.number,
    }))
  }

  records(): UpgradeRecord[] {
    return [...this.#all.values()]
  }
}
