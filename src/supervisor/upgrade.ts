/**
 * One upgrade: a pair for each worker, all of which freeze together and commit or none, and from there their drains, while the
 * next upgrade may begin. Never throws: it ends with a result.
 */
import { Ballot, type Verdict } from '../sys/ballot.js'
import { nowMs } from '../sys/clock.js'
import { memoryShortages } from './budget.js'
import { Departure } from './departure.js'
import type { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import type { Settings } from './options.js'
import { Pair, type PairContext } from './pair.js'
import type { Draining, Reason, UpgradeResult } from './result.js'
import { spread } from './spread.js'
import { type Part, sumOf } from './sum.js'

/** After the first has failed, how long others may take to fail for their own reasons. */
const OTHER_REASONS_MS = 1_000
/** Times that a worker is tried again whose pair failed after all had decided to commit. */
const MAX_REPAIRS = 2

/** 'probation' overlaps 'drain': it begins at the commit, too. */
export type UpgradePhase = 'spawn' | 'transfer' | 'drain' | 'probation'

export interface Candidate {
  readonly worker: number
  /** Undefined where there was no such worker. */
  readonly predecessor: Generation | undefined
  readonly nobodyServes: string | undefined
  /** Has what it served before. */
  readonly keeper: Generation | undefined
}

export interface UpgradeContext extends Pick<PairContext, 'listeners' | 'settings' | 'generations' | 'isKnown'> {
  readonly id: number
  /** One for each worker, in their order. */
  readonly candidates: readonly Candidate[]
  /** Workers that are too many, and are to go when the others have committed: who serves as them. */
  leaving(): Generation[]
  readonly listeners: Listeners
  readonly settings: Settings
  /** Starts a process of the release it goes to. Throws when there is none to be had. */
  spawn(worker: number, role: 'first' | 'successor'): Generation
  onPhase(phase: UpgradePhase): void
  /** It goes to the new release: what is started from now on is of that. */
  onCommitted(): void
  /** A worker that was too many has nothing to serve with any more. */
  onLeft(worker: number): void
  /** Called once for each worker, at the instant it is known who serves from now on. */
  onDecided(pair: Pair, serves: UpgradeResult['workers'][number]['serves']): void
}

export class Upgrade {
  readonly id: number
  readonly #context: UpgradeContext
  /** The newest try of each worker. */
  readonly #pairs: Pair[]
  readonly #ballot: Ballot | undefined
  readonly #startedAt = new Date().toISOString()
  readonly #startedAtMs = nowMs()
  readonly #refusals: Reason[] = []
  /** Tries that came to nothing, and were followed by another. */
  readonly #former: Pair[] = []
  readonly #departures: Departure[] = []
  readonly decided: Promise<void>
  #resolveDecided: () => void = () => undefined
  #ended: Promise<UpgradeResult> | undefined
  #phase: UpgradePhase = 'spawn'
  #isDecided = false
  #isStopped = false

  /** Starts the successors. Throws when there is no process, or descriptor, to be had: nothing is left then. */
  constructor(context: UpgradeContext) {
    this.#context = context
    this.id = context.id
    this.decided = new Promise((resolve) => {
      this.#resolveDecided = resolve
    })
    const { candidates } = context
    this.#ballot = candidates.length === 1 ? undefined : Ballot.make()
    this.#pairs = []
    try {
      for (const candidate of candidates) this.#pairs.push(this.#pairOf(candidate, this.#ballot))
    } catch (error) {
      for (const pair of this.#pairs) pair.giveUp()
      this.#ballot?.close()
      throw error
    }
  }

  get phase(): UpgradePhase {
    return this.#phase
  }

  /** From here on the next one may begin. */
  get isDecided(): boolean {
    return this.#isDecided
  }

  get departures(): readonly Departure[] {
    return this.#departures
  }

  get pairs(): readonly Pair[] {
    return this.#pairs
  }

  run(): Promise<UpgradeResult> {
    this.#ended ??= this.#run()
    return this.#ended
  }

  /** Before it is decided: gives it up. Afterwards: ends the drains. Resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true
    await Promise.all([...this.#pairs, ...this.#departures].map((each) => each.stop(graceMs)))
    await this.#ended
  }

  async #run(): Promise<UpgradeResult> {
    this.#enter('spawn')
    const verdict = await this.#untilDecided()
    this.#ballot?.close()
    await this.#decide(verdict)
    const isCommitted = this.#pairs.every(({ isActive }) => isActive)
    if (isCommitted) await this.#depart()
    const { listeners, settings } = this.#context
    const frame = { id: this.id, startedAt: this.#startedAt, listeners: listeners.list(), draining: this.#others() }
    this.#isDecided = true
    if (this.#departures.length > 0 || this.#pairs.some(({ drains }) => drains)) this.#enter('drain')
    this.#resolveDecided()
    const tries = [...this.#former, ...this.#pairs]
    const rows = this.#pairs.map(({ successor, isNew }) => ({ generation: successor, isNew }))
    const [given, ...parts] = await Promise.all([
      isCommitted && rows.some(({ isNew }) => isNew) ? spread(rows, settings) : [],
      ...[...tries, ...this.#departures].map(
        async (each): Promise<Part> => ({ worker: each.worker, result: await each.ends() }),
      ),
    ])
    const durationMs = nowMs() - this.#startedAtMs
    return sumOf({ ...frame, durationMs, given }, parts, this.#refusals, rows.length + this.#departures.length)
  }

  #enter(phase: UpgradePhase): void {
    this.#phase = phase
    this.#context.onPhase(phase)
  }

  #pairOf(candidate: Candidate, ballot: Ballot | undefined): Pair {
    const { spawn, listeners, settings, generations, isKnown } = this.#context
    const { worker, predecessor, nobodyServes, keeper } = candidate
    const successor = spawn(worker, nobodyServes === undefined ? 'successor' : 'first')
    return new Pair({
      predecessor: predecessor ?? successor,
      nobodyServes,
      keeper,
      isNew: predecessor === undefined,
      successor,
      listeners,
      settings,
      group: ballot === undefined ? undefined : { number: this.id, ballot },
      generations,
      isKnown,
    })
  }

  /** To the end of the transaction, for all. */
  async #untilDecided(): Promise<Verdict | undefined> {
    const pairs = this.#pairs
    const ballot = this.#ballot
    const isReady = await this.#all(
      (pair) => pair.becomesReady(),
      () => {
        for (const each of pairs) each.giveUp()
      },
    )
    if (!isReady || !this.#mayLeave() || !(await this.#hasRoom())) return 'abort'
    if (pairs.some(({ nobodyServed }) => !nobodyServed)) this.#enter('transfer')
    await Promise.all(pairs.map((pair) => pair.begin()))
    const verdict = ballot && (await this.#agree(ballot))
    await Promise.all(pairs.map((pair) => pair.concludes(verdict)))
    return verdict
  }

  /** Several: each comes as far as it can without the others, twice. Whatever has been cast by then, all hear. */
  async #agree(ballot: Ballot): Promise<Verdict> {
    const pairs = this.#pairs
    // Clients wait: who has voted hears of it at once.
    const giveUp = () => {
      ballot.cast('abort')
      ballot.ring()
    }
    let word: Verdict = 'abort'
    if (await this.#all((pair) => pair.settles())) {
      for (const { predecessor } of pairs) predecessor.on('aborted', giveUp)
      for (const pair of pairs) pair.freeze()
      if (await this.#all((pair) => pair.votes(), giveUp)) word = 'commit'
      for (const { predecessor } of pairs) predecessor.removeListener('aborted', giveUp)
    }
    const verdict = ballot.cast(this.#isStopped ? 'abort' : word)
    ballot.ring()
    return verdict
  }

  /** True when it is so of all. The first of which it is not is told at once; the others have a moment for their own reasons. */
  async #all(come: (pair: Pair) => Promise<boolean>, onFailed: () => void = () => undefined): Promise<boolean> {
    let areAll = true
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      const comings = this.#pairs.map(async (pair) => {
        if ((await come(pair)) || !areAll) return
        areAll = false
        timer = setTimeout(resolve, OTHER_REASONS_MS)
        onFailed()
      })
      void Promise.all(comings).then(() => resolve())
    })
    clearTimeout(timer)
    return areAll
  }

  /** Who serves from now on, worker by worker; those that failed after all had decided to commit are tried again. */
  async #decide(verdict: Verdict | undefined): Promise<void> {
    const { onCommitted } = this.#context
    if (verdict !== 'abort' && this.#pairs.some(({ isActive }) => isActive)) onCommitted()
    const mayRepair = (pair: Pair) =>
      verdict === 'commit' && !pair.isActive && pair.predecessor.alive && !pair.nobodyServed
    await Promise.all(
      this.#pairs.map(async (pair) => {
        let newest = pair
        for (let count = 0; mayRepair(newest) && !this.#isStopped && count < MAX_REPAIRS; count++) {
          const next = await this.#tryAgain(newest)
          if (next === undefined) break
          newest = next
        }
        const { serves } = await newest.decide()
        this.#context.onDecided(newest, serves)
      }),
    )
  }

  /** The same worker once more, by itself. */
  async #tryAgain(failed: Pair): Promise<Pair | undefined> {
    const { predecessor } = failed
    await failed.decide()
    let pair: Pair
    try {
      pair = this.#pairOf({ worker: failed.worker, predecessor, nobodyServes: undefined, keeper: undefined }, undefined)
    } catch {
      return undefined
    }
    this.#former.push(failed)
    this.#pairs[this.#pairs.indexOf(failed)] = pair
    if (await pair.becomesReady()) {
      await pair.begin()
      await pair.concludes(undefined)
    }
    return pair
  }

  /** What has only one owner cannot be joined with what another one has. */
  #mayLeave(): boolean {
    const canTake = this.#pairs.every(({ successor }) => successor.canGroup)
    for (const { worker, states, canGroup } of this.#context.leaving()) {
      const why = !(canGroup && canTake)
        ? 'its version of handover, or that of the successors, cannot give sessions to another worker'
        : states.length > 0
          ? `it has shared state (${states.join(', ')}), which cannot be joined with that of another worker: keep the number of workers, or keep that state outside of them`
          : undefined
      if (why !== undefined)
        this.#refusals.push({
          of: 'upgrade',
          reason: `worker ${worker} is one too many, and cannot go: ${why}`,
          count: 1,
        })
    }
    return this.#refusals.length === 0
  }

  /** Those that are too many give what they have to the others, in turn. */
  async #depart(): Promise<void> {
    const { leaving, settings, onLeft, isKnown } = this.#context
    const takers = this.#pairs.map(({ successor }) => successor)
    for (const [index, generation] of leaving().entries())
      this.#departures.push(new Departure(generation, takers[index % takers.length] as Generation, settings, isKnown))
    await Promise.all(this.#departures.map(async (each) => (await each.begins()) && onLeft(each.worker)))
  }

  /** The memory for both generations is there, or nothing can be said of it. */
  async #hasRoom(): Promise<boolean> {
    const { settings, generations } = this.#context
    const pairs = this.#pairs.filter(({ nobodyServed, predecessor }) => !nobodyServed && predecessor.alive)
    const pidsOf = (sides: Iterable<Generation>) =>
      [...sides].flatMap(({ side: { pid } }) => (pid === null ? [] : [pid]))
    const [before, after] = [pidsOf(pairs.map((pair) => pair.predecessor)), pidsOf(pairs.map((pair) => pair.successor))]
    if (before.length === 0 || after.length < before.length) return true
    const own = new Set(this.#pairs.flatMap(({ predecessor, successor }) => [predecessor, successor]))
    const others = [...generations()].filter((each) => !own.has(each) && each.alive)
    const short = await memoryShortages(before, after, pidsOf(others), settings.memoryLimitBytes)
    if (short === undefined && pairs.every(({ predecessor, successor }) => predecessor.alive && successor.alive))
      settings.logger.warn({ upgrade: this.id }, 'the memory of the runtimes could not be measured')
    if (short === undefined || short.length === 0) return true
    this.#refusals.push(...short.map((reason): Reason => ({ of: 'upgrade', reason, count: 1 })))
    return false
  }

  /** Of earlier upgrades. */
  #others(): Draining[] {
    const own = new Set([...this.#pairs, ...this.#departures].map(({ predecessor }) => predecessor))
    const rows = new Map<number, Draining>()
    for (const each of this.#context.generations()) {
      if (own.has(each) || each.drainLeftMs === null) continue
      const leftMs = Math.max(each.drainLeftMs, rows.get(each.number)?.leftMs ?? 0)
      rows.set(each.number, { generation: each.number, leftMs })
    }
    return [...rows.values()]
  }
}
