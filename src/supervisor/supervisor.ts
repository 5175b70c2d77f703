/** Keeps one release serving: starts it, starts it again when it crashes, upgrades it, stops it. */
import { EventEmitter } from 'node:events'
import { HandoverError, messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Generation } from './generation.js'
import { Listeners } from './listeners.js'
import { checkSettings, type Settings, type SupervisorOptions, settingsOf, type UpgradeOptions } from './options.js'
import { endStartedWith, Orphans } from './orphans.js'
import { checkRelease, describeRelease, nextRelease, type Release } from './release.js'
import type { UpgradeResult } from './result.js'
import { Starts } from './starts.js'
import { generationStatus, type SupervisorStatus } from './status.js'
import { Upgrade, type UpgradePhase } from './upgrade.js'

export interface SupervisorEvents {
  /** A generation serves. */
  serving: [{ generation: number; pid: number | null }]
  /** The serving runtime ended unasked; it is started again after `delayMs`. */
  crashed: [{ generation: number; reason: string; delayMs: number }]
  /** Where an upgrade stands. Several may be in 'drain' at once. */
  phase: [{ id: number; phase: UpgradePhase }]
  upgraded: [UpgradeResult]
  /** The runtime crashed too often, and nobody serves. */
  gaveUp: [HandoverError]
  /** stop() has done its work. */
  stopped: []
}

export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly #settings: Settings
  readonly #listeners = new Listeners()
  readonly #startedAtMs = nowMs()
  readonly #generations = new Set<Generation>()
  /** Not ended: at most one before its commit, and any number that drain, the oldest first. */
  readonly #upgrades = new Set<Upgrade>()
  readonly #starts: Starts
  /** Undefined when this process is not only a supervisor. */
  readonly #orphans: Orphans | undefined
  #release: Release
  #serving: Generation | undefined
  /** Who serves, or served or was to serve last. */
  #latest: Generation | undefined
  #isStarted = false
  #generationCount = 0
  #upgradeCount = 0
  #lastUpgrade: UpgradeResult | null = null
  #stopping: Promise<void> | undefined

  /** @throws HandoverError HANDOVER_USAGE when the release names no command, or an option is not what it may be. */
  constructor(options: SupervisorOptions) {
    super()
    checkRelease(options.release)
    this.#settings = settingsOf(options)
    this.#release = options.release
    if (this.#settings.adoptOrphans)
      this.#orphans = new Orphans((pid) => [...this.#generations].some(({ startedPid }) => startedPid === pid))
    this.#starts = new Starts({
      settings: this.#settings,
      listeners: this.#listeners,
      spawn: () => {
        this.#latest = this.#spawn(this.#release, 'first')
        return this.#latest
      },
      onServes: (generation) => this.#serves(generation),
      onCrashed: (crash) => this.emit('crashed', crash),
      onGaveUp: (error) => this.emit('gaveUp', error),
    })
  }

  /**
   * Starts the first generation; resolves when it serves. One that crashes is started again, with growing delays.
   * @throws HandoverError HANDOVER_CRASHED when it never came up, HANDOVER_BUSY when it was stopped before it did,
   * HANDOVER_LISTEN_REFUSED when an address of `listen` cannot be had.
   */
  async start(): Promise<void> {
    if (this.#isStarted) throw new HandoverError('HANDOVER_USAGE', 'start() was called twice')
    this.#isStarted = true
    await this.#open()
    this.#orphans?.adopt()
    await new Promise<void>((resolve, reject) => {
      this.once('serving', () => resolve())
      this.once('gaveUp', reject)
      this.once('stopped', () => reject(new HandoverError('HANDOVER_BUSY', 'the supervisor was stopped')))
      this.#starts.begin()
    })
  }

  /**
   * Starts the release as it is on disk now (or what `change` names) and moves everything into it; when nobody serves, it
   * is started at once. Resolves when the predecessor is gone, whatever the outcome; the next upgrade may begin at commit.
   * @throws HandoverError HANDOVER_BUSY, HANDOVER_USAGE
   */
  async upgrade(change: Partial<Release> = {}, options: UpgradeOptions = {}): Promise<UpgradeResult> {
    nextRelease(this.#release, change)
    checkSettings(options)
    this.#mustBeFree()
    const hasMadeRoom = await this.#starts.makeRoom()
    this.#mustBeFree()
    const upgrade = this.#begin(nextRelease(this.#release, change), options, hasMadeRoom)
    const result = await upgrade.run().finally(() => this.#upgrades.delete(upgrade))
    if (result.id > (this.#lastUpgrade?.id ?? 0)) this.#lastUpgrade = result
    const { id, outcome, sessions, reasons, pauseMs } = result
    this.#settings.logger[outcome === 'committed' ? 'info' : 'warn'](
      { upgrade: id, outcome, sessions, pauseMs, reasons },
      'upgrade ended',
    )
    this.emit('upgraded', result)
    return result
  }

  async status(): Promise<SupervisorStatus> {
    const generations = await Promise.all([...this.#generations].map(generationStatus))
    const upgrades = [...this.#upgrades].map(({ id, phase, predecessor, successor }) => ({
      id,
      phase,
      from: predecessor.number,
      to: successor.number,
    }))
    return {
      pid: process.pid,
      uptimeMs: nowMs() - this.#startedAtMs,
      upgrading: upgrades.at(-1)?.phase ?? null,
      upgrades,
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
      await this.#listeners.open(this.#settings.listen)
      if (this.#stopping !== undefined) throw new HandoverError('HANDOVER_BUSY', 'the supervisor was stopped')
    } catch (error) {
      this.#listeners.closeAll()
      throw error
    }
  }

  async #stop(): Promise<void> {
    this.#starts.stop()
    this.#settings.logger.info({}, 'stopping')
    const { drainMs } = this.#settings
    const ended = new Set<Generation>()
    const ends: Promise<void>[] = []
    for (const upgrade of this.#upgrades) {
      ended.add(upgrade.isDecided ? upgrade.predecessor : upgrade.successor)
      ends.push(upgrade.stop(drainMs))
    }
    for (const generation of this.#generations) if (!ended.has(generation)) ends.push(generation.stop(drainMs))
    await Promise.all(ends)
    await this.#orphans?.close()
    this.#listeners.closeAll()
    this.emit('stopped')
  }

  #mustBeFree(): void {
    const undecided = this.#undecided()
    if (this.#stopping !== undefined) throw new HandoverError('HANDOVER_BUSY', 'the supervisor is stopping')
    if (undecided !== undefined)
      throw new HandoverError('HANDOVER_BUSY', `upgrade ${undecided.id} is in progress (${undecided.phase})`)
    if (this.#latest === undefined)
      throw new HandoverError('HANDOVER_BUSY', 'no runtime serves yet: start() has not been called')
  }

  #undecided(): Upgrade | undefined {
    return [...this.#upgrades].find(({ isDecided }) => !isDecided)
  }

  #begin(release: Release, { policy, unsettled, onPhase }: UpgradeOptions, hasMadeRoom: boolean): Upgrade {
    const predecessor = this.#serving ?? (this.#latest as Generation)
    const nobodyServes = this.#serving === undefined
    const goOn = this.#starts.yield(hasMadeRoom)
    const id = ++this.#upgradeCount
    this.#settings.logger.info({ upgrade: id, command: describeRelease(release) }, 'upgrade begins')
    let successor: Generation
    try {
      successor = this.#spawn(release, nobodyServes ? 'first' : 'successor')
    } catch (error) {
      goOn()
      throw error
    }
    const upgrade = new Upgrade({
      id,
      predecessor,
      successor,
      nobodyServes: nobodyServes
        ? `generation ${predecessor.number} ${hasMadeRoom ? 'was only starting' : predecessor.ending}`
        : undefined,
      listeners: this.#listeners,
      settings: {
        ...this.#settings,
        policy: policy ?? this.#settings.policy,
        unsettled: unsettled ?? this.#settings.unsettled,
      },
      generations: () => this.#generations,
      onPhase: (phase) => {
        onPhase?.({ id, phase })
        this.emit('phase', { id, phase })
      },
      onDecided: (serves) => {
        if (serves === 'successor') {
          this.#release = release
          // The crashes in a row were those of another release.
          if (nobodyServes) this.#starts.forgive()
          this.#serves(successor)
        } else if (nobodyServes) goOn()
        else if (serves === 'nobody') this.#crashed(predecessor.hasHandedOver ? successor : predecessor)
      },
      isKnown: async (generation) => {
        await Promise.all([...this.#upgrades].map((each) => each.predecessor === generation && each.decided))
      },
    })
    this.#upgrades.add(upgrade)
    return upgrade
  }

  #spawn(release: Release, role: 'first' | 'successor'): Generation {
    const generation = new Generation(++this.#generationCount, release, role, this.#listeners.passed())
    this.#generations.add(generation)
    generation.once('exit', () => {
      this.#generations.delete(generation)
      if (!generation.joins) endStartedWith(generation.notifySocket)
    })
    generation.on('listen', ({ request, ...spec }) => {
      this.#listeners.provide(generation.number, spec).then(
        (descriptor) => generation.send('listening', { request, type: spec.type }, [descriptor]),
        (error) => generation.send('unavailable', { request, reason: messageOf(error) }),
      )
    })
    return generation
  }

  #serves(generation: Generation): void {
    this.#serving = generation
    this.#latest = generation
    const { pid, release, node } = generation.side
    this.#settings.logger.info({ generation: generation.number, pid, release, node }, 'serving')
    const onExit = () => {
      // The end of the predecessor of an upgrade is judged when that is decided.
      if (generation === this.#serving && this.#undecided()?.predecessor !== generation) this.#crashed(generation)
    }
    this.emit('serving', { generation: generation.number, pid })
    if (generation.alive) generation.once('exit', onExit)
    else onExit()
  }

  #crashed(generation: Generation): void {
    this.#serving = undefined
    this.#latest = generation
    this.#starts.again(generation.number, generation.ending ?? 'is gone')
  }
}
