/** Keeps one release serving: starts it, starts it again when it crashes, upgrades it, stops it. */
import { EventEmitter } from 'node:events'
import { HandoverError, messageOf } from '../errors.js'
import { nowMs } from '../sys/clock.js'
import { Backoff } from './backoff.js'
import { Generation } from './generation.js'
import { Listeners } from './listeners.js'
import { type Settings, type SupervisorOptions, settingsOf } from './options.js'
import { checkRelease, describeRelease, nextRelease, type Release } from './release.js'
import type { UpgradeResult } from './result.js'
import { generationStatus, type SupervisorStatus } from './status.js'
import { runUpgrade, type UpgradePhase } from './upgrade.js'

export interface SupervisorEvents {
  /** A generation serves. */
  serving: [{ generation: number; pid: number | null }]
  /** The serving runtime ended unasked; it is started again after `delayMs`. */
  crashed: [{ generation: number; reason: string; delayMs: number }]
  /** Where an upgrade stands. */
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
  readonly #backoff: Backoff
  readonly #startedAtMs = nowMs()
  readonly #generations = new Set<Generation>()
  #release: Release
  #serving: Generation | undefined
  #generationCount = 0
  #upgradeCount = 0
  #upgrading: { phase: UpgradePhase; readonly successor: Generation; readonly done: Promise<UpgradeResult> } | undefined
  #lastUpgrade: UpgradeResult | null = null
  #stopping: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined

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
   * Starts the release as it is on disk now (or what `change` names) and moves everything into it. Resolves when the
   * predecessor is gone, whatever the outcome.
   * @throws HandoverError HANDOVER_BUSY, HANDOVER_USAGE
   */
  async upgrade(change: Partial<Release> = {}): Promise<UpgradeResult> {
    const release = nextRelease(this.#release, change)
    const predecessor = this.#serving
    if (this.#stopping !== undefined) throw new HandoverError('HANDOVER_BUSY', 'the supervisor is stopping')
    if (this.#upgrading !== undefined)
      throw new HandoverError(
        'HANDOVER_BUSY',
        `upgrade ${this.#upgradeCount} is in progress (${this.#upgrading.phase})`,
      )
    if (predecessor === undefined)
      throw new HandoverError('HANDOVER_BUSY', 'no runtime serves yet: it is being started')
    const id = ++this.#upgradeCount
    this.#settings.logger.info({ upgrade: id, command: describeRelease(release) }, 'upgrade begins')
    const successor = this.#spawn(release, 'successor')
    const done = runUpgrade({
      id,
      predecessor,
      successor,
      listeners: this.#listeners,
      settings: this.#settings,
      onPhase: (phase) => {
        if (this.#upgrading !== undefined) this.#upgrading.phase = phase
        this.emit('phase', { id, phase })
      },
      onCommitted: () => {
        this.#release = release
        this.#serves(successor)
      },
    })
    this.#upgrading = { phase: 'spawn', successor, done }
    const result = await done
    this.#upgrading = undefined
    this.#lastUpgrade = result
    const { outcome, sessions, reasons, pauseMs } = result
    this.#settings.logger[outcome === 'committed' ? 'info' : 'warn'](
      { upgrade: id, outcome, sessions, pauseMs, reasons },
      'upgrade ended',
    )
    this.emit('upgraded', result)
    // The predecessor may have died of it.
    if (this.#serving?.alive === false) this.#crashed(this.#serving)
    return result
  }

  async status(): Promise<SupervisorStatus> {
    const generations = await Promise.all([...this.#generations].map(generationStatus))
    return {
      pid: process.pid,
      uptimeMs: nowMs() - this.#startedAtMs,
      upgrading: this.#upgrading?.phase ?? null,
      generations,
      listeners: this.#listeners.list(),
      lastUpgrade: this.#lastUpgrade,
    }
  }

  /** Gives up an upgrade that is not committed, stops the runtime (SIGTERM, and after the drain time SIGKILL), closes the listeners. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#retry)
    this.#settings.logger.info({}, 'stopping')
    if (this.#upgrading !== undefined) {
      const { successor, done } = this.#upgrading
      if (successor !== this.#serving) await successor.kill()
      await done
    }
    await Promise.all([...this.#generations].map((generation) => generation.stop(this.#settings.drainMs)))
    this.#listeners.closeAll()
    this.emit('stopped')
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
    const { readyTimeoutMs, logger } = this.#settings
    const timer = setTimeout(() => {
      logger.error(
        { generation: generation.number, readyTimeoutMs },
        'the runtime was not ready in time: it must call join() and await ready()',
      )
      generation.signal('SIGKILL')
    }, readyTimeoutMs)
    generation.once('ready', () => generation.send('activate', {}))
    let served = false
    generation.once('active', ({ listeners }) => {
      served = true
      clearTimeout(timer)
      this.#listeners.commit(generation.number, listeners)
      this.#serves(generation)
    })
    generation.once('exit', () => {
      clearTimeout(timer)
      if (served) return
      this.#listeners.abort(generation.number)
      this.#crashed(generation)
    })
  }

  #serves(generation: Generation): void {
    this.#serving = generation
    const { pid, release, node } = generation.side
    this.#settings.logger.info({ generation: generation.number, pid, release, node }, 'serving')
    const onExit = () => {
      // The end of a predecessor is judged with its upgrade; a successor that serves is not waited for by a drain.
      const isJudgedLater = this.#upgrading !== undefined && this.#upgrading.successor !== generation
      if (generation === this.#serving && !isJudgedLater) this.#crashed(generation)
    }
    this.emit('serving', { generation: generation.number, pid })
    if (generation.alive) generation.once('exit', onExit)
    else onExit()
  }

  #crashed(generation: Generation): void {
    this.#serving = undefined
    if (this.#stopping !== undefined) return
    const reason = generation.ending ?? 'is gone'
    const delayMs = this.#backoff.next(nowMs())
    if (delayMs === undefined) {
      const error = new HandoverError(
        'HANDOVER_CRASHED',
        `the runtime crashed ${this.#settings.maxCrashes} times in a row; the last one ${reason}`,
      )
      this.#settings.logger.error({ generation: generation.number, reason }, error.message)
      this.emit('gaveUp', error)
      return
    }
    this.#settings.logger.error(
      { generation: generation.number, reason, delayMs },
      'the runtime crashed and is started again',
    )
    this.emit('crashed', { generation: generation.number, reason, delayMs })
    this.#retry = setTimeout(() => this.#startFirst(), delayMs)
  }
}
