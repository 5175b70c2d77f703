/** Keeps one release serving: starts it, starts it again when it crashes, upgrades it, stops it. */
import { EventEmitter } from 'node:events'
import { HandoverError, messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Backoff } from './backoff.js'
import { startFirst } from './first.js'
import { Generation } from './generation.js'
import { Listeners } from './listeners.js'
import { type Settings, type SupervisorOptions, settingsOf, type UpgradeOptions } from './options.js'
import { checkRelease, describeRelease, nextRelease, type Release } from './release.js'
import type { UpgradeResult } from './result.js'
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

/** A generation that is to serve with nobody before it. */
interface Start {
  readonly generation: Generation
  /** Resolves when it is known whether it serves. */
  readonly over: Promise<void>
  /** An upgrade takes its place: its end is no crash. */
  isReplaced: boolean
}

export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly #settings: Settings
  readonly #listeners = new Listeners()
  readonly #startedAtMs = nowMs()
  readonly #generations = new Set<Generation>()
  /** Not ended: at most one before its commit, and any number that drain, the oldest first. */
  readonly #upgrades = new Set<Upgrade>()
  #backoff: Backoff
  #release: Release
  #serving: Generation | undefined
  /** While nobody serves: who is being started, or when the next start is, or neither once it has given up. */
  #starting: Start | undefined
  #retry: { readonly timer: NodeJS.Timeout; readonly atMs: number } | undefined
  /** Who serves, or served or was to serve last. */
  #latest: Generation | undefined
  #generationCount = 0
  #upgradeCount = 0
  #lastUpgrade: UpgradeResult | null = null
  #stopping: Promise<void> | undefined

  /** @throws HandoverError HANDOVER_USAGE when the release names no command. */
  constructor(options: SupervisorOptions) {
    super()
    checkRelease(options.release)
    this.#settings = settingsOf(options)
    this.#release = options.release
    this.#backoff = new Backoff(this.#settings.maxCrashes)
  }

  /**
   * Starts the first generation; resolves when it serves. One that crashes is started again, with growing delays.
   * @throws HandoverError HANDOVER_CRASHED when it never came up, HANDOVER_BUSY when it was stopped before it did.
   */
  async start(): Promise<void> {
    if (this.#generationCount > 0) throw new HandoverError('HANDOVER_USAGE', 'start() was called twice')
    await new Promise<void>((resolve, reject) => {
      this.once('serving', () => resolve())
      this.once('gaveUp', reject)
      this.once('stopped', () => reject(new HandoverError('HANDOVER_BUSY', 'the supervisor was stopped')))
      this.#startFirst()
    })
  }

  /**
   * Starts the release as it is on disk now (or what `change` names) and moves everything into it; when nobody serves, it
   * is started at once. Resolves when the predecessor is gone, whatever the outcome; the next upgrade may begin at commit.
   * @throws HandoverError HANDOVER_BUSY, HANDOVER_USAGE
   */
  async upgrade(change: Partial<Release> = {}, options: UpgradeOptions = {}): Promise<UpgradeResult> {
    nextRelease(this.#release, change)
    this.#mustBeFree()
    const ended = await this.#endStart()
    this.#mustBeFree()
    const upgrade = this.#begin(nextRelease(this.#release, change), options, ended)
    const result = await upgrade.run()
    this.#upgrades.delete(upgrade)
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

  async #stop(): Promise<void> {
    clearTimeout(this.#retry?.timer)
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

  /**
   * Who is only starting serves nobody, and makes room for an upgrade; returns true when that was so. Its listeners are
   * closed by then: the release that comes may ask for the same addresses.
   */
  async #endStart(): Promise<boolean> {
    const start = this.#starting
    if (start === undefined) return false
    // Told to serve, it may have accepted already.
    if (start.generation.state === 'starting') {
      start.isReplaced = true
      start.generation.signal('SIGKILL')
    }
    await start.over
    return start.isReplaced
  }

  #begin(release: Release, { policy, unsettled, onPhase }: UpgradeOptions, hasEndedStart: boolean): Upgrade {
    const predecessor = this.#serving ?? (this.#latest as Generation)
    const retryAtMs = hasEndedStart ? nowMs() : this.#retry?.atMs
    const nobodyServes = this.#serving === undefined
    const goOn = () => {
      if (retryAtMs !== undefined) this.#startAfter(retryAtMs - nowMs())
    }
    const id = ++this.#upgradeCount
    this.#settings.logger.info({ upgrade: id, command: describeRelease(release) }, 'upgrade begins')
    let successor: Generation
    try {
      successor = this.#spawn(release, nobodyServes ? 'first' : 'successor')
    } catch (error) {
      if (nobodyServes) goOn()
      throw error
    }
    clearTimeout(this.#retry?.timer)
    this.#retry = undefined
    const upgrade = new Upgrade({
      id,
      predecessor,
      successor,
      nobodyServes: nobodyServes
        ? `generation ${predecessor.number} ${hasEndedStart ? 'was only starting' : predecessor.ending}`
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
          if (nobodyServes) this.#backoff = new Backoff(this.#settings.maxCrashes)
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
    const generation = new Generation(++this.#generationCount, release, role)
    this.#generations.add(generation)
    generation.once('exit', () => this.#generations.delete(generation))
    generation.on('listen', ({ request, ...spec }) => {
      this.#listeners.provide(generation.number, spec).then(
        (descriptor) => generation.send('listening', { request }, [descriptor]),
        (error) => generation.send('unavailable', { request, reason: messageOf(error) }),
      )
    })
    return generation
  }

  #startFirst(): void {
    const generation = this.#spawn(this.#release, 'first')
    this.#latest = generation
    const start: Start = {
      generation,
      isReplaced: false,
      over: startFirst(generation, this.#listeners, this.#settings).then((serves) => {
        this.#starting = undefined
        if (serves) this.#serves(generation)
        else if (!start.isReplaced) this.#crashed(generation)
      }),
    }
    this.#starting = start
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
    if (this.#stopping !== undefined) return
    this.#latest = generation
    this.#startLater(generation.number, generation.ending ?? 'is gone')
  }

  #startLater(generation: number, reason: string): void {
    const delayMs = this.#backoff.next(nowMs())
    if (delayMs === undefined) {
      const error = new HandoverError(
        'HANDOVER_CRASHED',
        `the runtime crashed ${this.#settings.maxCrashes} times in a row; the last one ${reason}`,
      )
      this.#settings.logger.error({ generation, reason }, error.message)
      this.emit('gaveUp', error)
      return
    }
    this.#settings.logger.error({ generation, reason, delayMs }, 'the runtime crashed and is started again')
    this.emit('crashed', { generation, reason, delayMs })
    this.#startAfter(delayMs)
  }

  #startAfter(delayMs: number): void {
    if (this.#stopping !== undefined) return
    const ms = Math.max(0, delayMs)
    const timer = setTimeout(() => {
      this.#retry = undefined
      try {
        this.#startFirst()
      } catch (error) {
        // No descriptor, or no process, to be had: it may be otherwise the next time.
        this.#startLater(this.#generationCount, `could not be started: ${messageOf(error)}`)
      }
    }, ms)
    this.#retry = { atMs: nowMs() + ms, timer }
  }
}
