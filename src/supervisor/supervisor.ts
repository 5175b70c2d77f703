/** Keeps one release serving, by one process or several: starts it, starts again what crashes, upgrades it, stops it. */
import { EventEmitter } from 'node:events'
import { HandoverError } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Fleet } from './fleet.js'
import { Generations } from './generations.js'
import type { Carried } from './image.js'
import { keeperRelease } from './keeper.js'
import { KeptSessions } from './kept-sessions.js'
import { Listeners } from './listeners.js'
import { checkSettings, type Settings, type SupervisorOptions, settingsOf, type UpgradeOptions } from './options.js'
import { Orphans } from './orphans.js'
import { checkRelease, describeRelease, nextRelease, type Release, type Target, targetOf } from './release.js'
import type { Replacement } from './replacement.js'
import type { ProbationResult, UpgradeResult } from './result.js'
import { generationStatus, type SupervisorStatus } from './status.js'
import { Succession } from './succession.js'
import type { SupervisorEvents } from './supervisor-events.js'
import { Trials } from './trials.js'
import { Upgrade } from './upgrade.js'
import { Upgrades } from './upgrades.js'
import { Worker } from './worker.js'

export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly #settings: Settings
  readonly #listeners: Listeners
  readonly #startedAtMs = nowMs()
  readonly #generations: Generations
  readonly #upgrades = new Upgrades()
  readonly #succession: Succession
  #resuming: Promise<void> | undefined
  #restoring: Promise<void> | undefined
  /** Undefined when this process is not only a supervisor. */
  readonly #orphans: Orphans | undefined
  readonly #fleet: Fleet
  #target: Target
  readonly #trials = new Trials()
  readonly #kept: KeptSessions
  #isStarted = false
  #generationCount = 0
  #upgradeCount = 0
  #lastUpgrade: UpgradeResult | null = null
  #stopping: Promise<void> | undefined
  /** A worker serves, or has given up. */
  #onWorker: () => void = () => undefined

  /**
   * @param carried what this process had open before its execve(2).
   * @throws HandoverError HANDOVER_USAGE when the release names no command, or an option is not what it may be.
   */
  constructor(options: SupervisorOptions, carried?: Carried) {
    super()
    checkRelease(options.release)
    this.#settings = settingsOf(options)
    this.#listeners = new Listeners(
      options.listenerStore,
      carried?.sockets.filter(({ isInherited }) => !isInherited),
    )
    this.#generations = new Generations({
      listeners: this.#listeners,
      logger: this.#settings.logger,
      rendezvous: () => this.#succession.rendezvous,
      onChange: () => this.#succession.remember(),
    })
    this.#target = { release: options.release, running: options.release }
    if (this.#settings.adoptOrphans)
      this.#orphans = new Orphans((pid) => pid === this.replacement.pid || this.#generations.has(pid))
    this.#kept = new KeptSessions(this.#settings)
    this.#fleet = new Fleet(this.#settings.workers, (index) => this.#worker(index))
    this.#succession = new Succession({
      carried,
      settings: this.#settings,
      listeners: this.#listeners,
      generations: this.#generations,
      fleet: this.#fleet,
      trials: this.#trials,
      upgrades: this.#upgrades,
      counts: () => ({
        generations: this.#generationCount,
        upgrades: this.#upgradeCount,
        target: this.#target,
        lastUpgrade: this.#lastUpgrade,
      }),
      mustBeFree: () => this.#mustBeFree(),
    })
  }

  /**
   * Starts the first generation; resolves when all of it serves. What crashes is started again, with growing delays.
   * @throws HandoverError HANDOVER_CRASHED when nothing ever came up, HANDOVER_BUSY when it was stopped before it did,
   * HANDOVER_LISTEN_REFUSED when an address of `listen` cannot be had.
   */
  async start(): Promise<void> {
    if (this.#isStarted) throw new HandoverError('HANDOVER_USAGE', 'start() was called twice')
    this.#isStarted = true
    this.#target = targetOf(this.#target.release)
    this.#succession.open()
    await this.#open()
    this.#orphans?.adopt()
    this.#restoring = this.#kept.restore(this.#fleet.all)
    await this.#restoring
    this.#mustNotStop()
    await new Promise<void>((resolve, reject) => {
      this.#onWorker = () => {
        const known = this.#fleet.all.every(({ serving, hasGivenUp }) => serving !== undefined || hasGivenUp)
        if (known && this.#fleet.all.some(({ serving }) => serving !== undefined)) resolve()
      }
      this.once('gaveUp', reject)
      this.once('stopped', () => reject(new HandoverError('HANDOVER_BUSY', 'the supervisor was stopped')))
      const missing = this.#fleet.all.filter(({ serving }) => serving === undefined)
      const number = missing.length === 0 ? 0 : ++this.#generationCount
      for (const { starts } of missing) starts.begin(number)
      this.#onWorker()
    })
    await Promise.all(this.#fleet.all.map(({ starts }) => starts.releaseKeeper()))
    this.#listeners.settle()
  }

  /** Takes over what a supervisor that did not end in order has left. */
  async #resume(): Promise<void> {
    const past = await this.#succession.resume(this.#target.running)
    if (past === undefined) return
    this.#generationCount = past.generations
    this.#upgradeCount = past.upgrades
    this.#lastUpgrade = past.lastUpgrade
    if (past.inForce !== undefined) {
      this.#target = past.inForce.target
      this.#fleet.restore(past.inForce.workers, past.inForce.own)
    }
    for (const each of past.serving) this.#fleet.have(each.worker).serves(each)
    this.#succession.begin()
  }

  /** The loop of each runtime that serves turns, as far as that can be said: what does not join lives. */
  async answers(withinMs: number): Promise<boolean> {
    return (await Promise.all(this.#fleet.all.map((worker) => worker.answers(withinMs)))).every((answer) => answer)
  }

  /**
   * Starts the release as it is on disk now (or what `change` names) and moves everything into it; when nobody serves, it
   * is started at once. Resolves when the predecessor is gone, whatever the outcome; the next upgrade may begin at commit.
   * @throws HandoverError HANDOVER_BUSY, HANDOVER_USAGE
   */
  async upgrade(change: Partial<Release> = {}, options: UpgradeOptions = {}): Promise<UpgradeResult> {
    checkSettings(options)
    const { worker } = options
    const only = worker === undefined ? undefined : this.#fleet.find(worker)
    if (worker !== undefined && only === undefined)
      throw new HandoverError('HANDOVER_USAGE', `--worker ${worker}: there are ${this.#fleet.count}, from 0`)
    const next = () => nextRelease((only?.target ?? this.#target).release, change)
    next()
    return this.#moveTo(() => targetOf(next()), { probationMs: this.#settings.probationMs, ...options })
  }

  /** @param next called when everything is ready for it. */
  async #moveTo(next: () => Target, options: UpgradeOptions): Promise<UpgradeResult> {
    this.#mustBeFree()
    const concerned = this.#fleet.all.filter(({ index }) => (options.worker ?? index) === index)
    const haveMadeRoom = new Set<Worker>()
    await Promise.all(concerned.map(async (worker) => (await worker.starts.makeRoom()) && haveMadeRoom.add(worker)))
    this.#mustBeFree()
    const before = this.#targetOf(options.worker)
    const target = next()
    const upgrade = this.#begin(target, options, haveMadeRoom)
    const probation = upgrade.decided.then(() =>
      this.#targetOf(options.worker) === target ? this.#onTrial(upgrade, before, options) : undefined,
    )
    const ended = await upgrade.run().finally(() => this.#upgrades.delete(upgrade))
    const trial = await probation
    const result = trial === undefined ? ended : { ...ended, probation: trial }
    if (result.id > (this.#lastUpgrade?.id ?? 0)) this.#lastUpgrade = result
    this.#succession.remember()
    const { id, outcome, sessions, reasons, pauseMs } = result
    this.#settings.logger[outcome === 'committed' ? 'info' : 'warn'](
      { upgrade: id, outcome, sessions, pauseMs, reasons },
      'upgrade ended',
    )
    this.emit('upgraded', result)
    return result
  }

  /** Of all, or of a worker that has gone before the others. */
  #targetOf(worker: number | undefined): Target {
    return (worker === undefined ? undefined : this.#fleet.find(worker)?.target) ?? this.#target
  }

  /** Undefined when it is not on trial at all. */
  async #onTrial(upgrade: Upgrade, before: Target, options: UpgradeOptions): Promise<ProbationResult | undefined> {
    const { probationMs = 0, onPhase, workers: _, ...same } = options
    if (probationMs === 0 || this.#stopping !== undefined) return undefined
    const { id } = upgrade
    onPhase?.({ id, phase: 'probation' })
    this.emit('phase', { id, phase: 'probation' })
    return this.#trials.run({
      id,
      generation: upgrade.pairs[0]!.successor.number,
      probationMs,
      health: this.#settings.health,
      logger: this.#settings.logger,
      processes: () => this.#fleet.serving(same.worker),
      decided: () => this.#upgrades.undecided?.decided,
      undo: () => this.#moveTo(() => before, { ...same, probationMs: 0 }),
    })
  }

  /** Another image in the place of this process: see Replacement. */
  get replacement(): Replacement {
    return this.#succession.replacement
  }

  async status(): Promise<SupervisorStatus> {
    const generations = await Promise.all([...this.#generations].map(generationStatus))
    const upgrades = this.#upgrades.status()
    return {
      pid: process.pid,
      uptimeMs: nowMs() - this.#startedAtMs,
      workers: this.#fleet.count,
      upgrading: upgrades.at(-1)?.phase ?? null,
      upgrades,
      probation: this.#trials.current,
      generations,
      listeners: this.#listeners.list(),
      lastUpgrade: this.#lastUpgrade,
    }
  }

  /**
   * Gives up an upgrade that is not committed, stops all runtimes at once, those that drain too (SIGTERM, and after the
   * drain time SIGKILL), closes the listeners. Upgrades resolve with what has become of them before it does.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** The listeners that every generation is started with. */
  async #open(): Promise<void> {
    try {
      this.#listeners.inherit([...this.#settings.inherited, ...this.#succession.inherited])
      this.#resuming = this.#resume()
      await this.#resuming
      this.#mustNotStop()
      await this.#listeners.open(this.#settings.listen)
      this.#mustNotStop()
    } catch (error) {
      if (!this.#succession.hasCome) this.#listeners.closeAll()
      throw error
    }
  }

  #mustNotStop(): void {
    if (this.#stopping !== undefined) throw new HandoverError('HANDOVER_BUSY', 'the supervisor was stopped')
  }

  async #stop(): Promise<void> {
    this.emit('stopping')
    this.#trials.end()
    for (const worker of this.#fleet.all) worker.stop()
    this.#settings.logger.info({}, 'stopping')
    // Who is being taken over would be left behind, with nobody to find it.
    await this.#resuming?.catch(() => undefined)
    await this.#restoring
    for (const worker of this.#fleet.all) worker.stop()
    const { drainMs } = this.#settings
    const { processes, decided, ended } = this.#upgrades.stop(drainMs)
    if (this.#settings.sessionStore !== undefined) {
      await decided
      // Who only starts is ended; who takes over from a keeper is waited for: two must not have the same sessions.
      await Promise.all(this.#fleet.all.map(({ starts }) => starts.makeRoom()))
      await this.#kept.keep(this.#fleet.all)
    }
    const others = [...this.#generations].filter((generation) => !processes.has(generation))
    await Promise.all([ended, ...others.map((generation) => generation.stop(drainMs))])
    await this.#orphans?.close()
    this.#listeners.closeAll()
    this.#succession.close()
    this.emit('stopped')
  }

  #mustBeFree(): void {
    const { undecided } = this.#upgrades
    if (this.#stopping !== undefined) throw new HandoverError('HANDOVER_BUSY', 'the supervisor is stopping')
    if (undecided !== undefined)
      throw new HandoverError('HANDOVER_BUSY', `upgrade ${undecided.id} is in progress (${undecided.phase})`)
    if (this.#fleet.all.some(({ latest }) => latest === undefined))
      throw new HandoverError('HANDOVER_BUSY', 'no runtime serves yet: start() has not been called')
  }

  #begin(target: Target, options: UpgradeOptions, haveMadeRoom: ReadonlySet<Worker>): Upgrade {
    const { release, running } = target
    const { policy, unsettled, worker: index, onPhase } = options
    const only = index === undefined ? undefined : this.#fleet.find(index)
    const workers = only === undefined ? (options.workers ?? this.#fleet.count) : this.#fleet.count
    const concerned = only === undefined ? this.#fleet.all : [only]
    const goOn = new Map(concerned.map((worker) => [worker.index, worker.starts.yield(haveMadeRoom.has(worker))]))
    let isCommitted = false
    const id = ++this.#upgradeCount
    const number = ++this.#generationCount
    this.#settings.logger.info({ upgrade: id, command: describeRelease(release) }, 'upgrade begins')
    let upgrade: Upgrade
    try {
      upgrade = new Upgrade({
        id,
        candidates: this.#fleet.candidates(only, workers, haveMadeRoom),
        leaving: () => concerned.flatMap(({ index, serving }) => (index < workers ? [] : (serving ?? []))),
        onLeft: (worker) => this.#remove(worker),
        listeners: this.#listeners,
        settings: {
          ...this.#settings,
          policy: policy ?? this.#settings.policy,
          unsettled: unsettled ?? this.#settings.unsettled,
        },
        generations: () => this.#generations,
        spawn: (worker, role) => this.#generations.spawn({ worker, workers, number }, running, role),
        onPhase: (phase) => {
          onPhase?.({ id, phase })
          this.emit('phase', { id, phase })
        },
        onCommitted: () => {
          isCommitted = true
          this.#trials.end()
          if (only !== undefined) {
            only.target = target
            return
          }
          this.#target = target
          this.#fleet.count = workers
          for (const each of this.#fleet.all) each.target = undefined
          // Who is one too many, and down, has nothing to give.
          for (const { index, serving } of [...this.#fleet.all])
            if (index >= workers && serving === undefined) this.#remove(index)
        },
        onDecided: ({ worker: index, nobodyServed, predecessor, successor }, serves) => {
          const worker = isCommitted ? this.#fleet.have(index) : this.#fleet.find(index)
          if (worker === undefined) return
          if (serves === 'successor') {
            // The crashes in a row were those of another release.
            if (nobodyServed) worker.starts.forgive()
            worker.serves(successor)
          } else if (nobodyServed && goOn.has(index)) goOn.get(index)?.()
          else if (serves === 'nobody') worker.crashed(predecessor.hasHandedOver ? successor : predecessor)
        },
        isKnown: (generation) => this.#upgrades.isKnown(generation),
      })
    } catch (error) {
      for (const each of goOn.values()) each()
      throw error
    }
    this.#upgrades.add(upgrade, { id, number, worker: index ?? null, workers, target })
    this.#succession.remember()
    void upgrade.decided.then(() => {
      this.#upgrades.decide(upgrade, isCommitted)
      this.#succession.remember()
      // Those that were to go stay, and had been waiting to be started again.
      for (const [index, each] of goOn) if (!isCommitted && index >= workers) each()
    })
    return upgrade
  }

  #remove(index: number): void {
    const worker = this.#fleet.find(index)
    if (worker !== undefined) this.#kept.release(worker)
    this.#fleet.remove(index)
    this.#listeners.retire(index)
  }

  #worker(index: number): Worker {
    return new Worker({
      index,
      settings: this.#settings,
      listeners: this.#listeners,
      isOneOfMany: () => this.#fleet.count > 1,
      spawnKeeper: (number) =>
        this.#generations.spawnKeeper({ worker: index, workers: 1, number }, keeperRelease(this.#target.release)),
      spawn: (number = ++this.#generationCount) =>
        this.#generations.spawn(
          { worker: index, workers: this.#fleet.count, number },
          this.#targetOf(index).running,
          'first',
        ),
      isJudgedLater: (generation) => this.#upgrades.judge(generation),
      isOnTrial: ({ number }) => this.#trials.has(number),
      onServing: (generation) => {
        this.emit('serving', { generation: generation.number, pid: generation.side.pid, worker: index })
        this.#onWorker()
      },
      onCrashed: (crash) => {
        this.emit('crashed', { ...crash, worker: index })
        this.#trials.crashed(crash.generation, crash.reason)
      },
      onGaveUp: (error) => {
        if (this.#fleet.all.every(({ hasGivenUp }) => hasGivenUp)) this.emit('gaveUp', error)
        else this.#onWorker()
      },
    })
  }
}
