/**
 * A supervisor as a service of systemd: what it is told of a supervisor's life, and the life sign it waits for. Only ever from
 * the supervisor itself: a runtime does not know of the manager.
 */
import { nowMs } from '../../sys/clock.js'
import { EXIT_GRACE_MS } from '../options.js'
import type { Supervisor } from '../supervisor.js'
import type { NotifyClient } from './notify-client.js'
import { statusText } from './status-text.js'

export interface ServiceOptions {
  readonly client: NotifyClient
  readonly supervisor: Supervisor
  readonly readyTimeoutMs: number
  readonly drainMs: number
  /** How much longer a stop may take for sessions that are kept; 0 when none are. */
  readonly keepMs: number
  /** Of WATCHDOG_USEC; undefined when the manager does not watch. */
  readonly watchdogMs: number | undefined
}

/** How often the status line is looked at anew: sessions come and go without an event. */
const STATUS_EVERY_MS = 10_000
/** What the manager waits longer for than this process would need. */
const MARGIN_MS = 10_000
/** Life signs in one interval of the watchdog: one may be late. */
const SIGNS = 3

export class Service {
  readonly #options: ServiceOptions
  readonly #timers: NodeJS.Timeout[] = []
  #isReady = false
  #isStopping = false
  /** The upgrade the manager was told of as a reload. */
  #reloading: number | undefined
  #said = ''
  #isAsking = false

  constructor(options: ServiceOptions) {
    this.#options = options
    const { supervisor, client, watchdogMs, readyTimeoutMs } = options
    client.say({ STATUS: 'the first generation starts', EXTEND_TIMEOUT_USEC: usec(readyTimeoutMs + MARGIN_MS) })
    supervisor.on('crashed', ({ delayMs }) => {
      if (!this.#isReady) client.say({ EXTEND_TIMEOUT_USEC: usec(delayMs + readyTimeoutMs + MARGIN_MS) })
      void this.#tell()
    })
    supervisor.on('serving', () => void this.#tell())
    supervisor.on('phase', ({ id, phase }) => {
      if (phase === 'spawn') this.#reloads(id)
      else if (phase === 'drain' || phase === 'probation') void this.#reloaded(id)
      else void this.#tell()
    })
    supervisor.on('upgraded', ({ id }) => void this.#reloaded(id))
    supervisor.on('stopping', () => this.#stops())
    this.#every(STATUS_EVERY_MS, () => void this.#tell())
    if (watchdogMs !== undefined) this.#every(watchdogMs / SIGNS, () => void this.#beat(watchdogMs / SIGNS))
  }

  /** The first generation serves. */
  async ready(): Promise<void> {
    if (this.#isReady || this.#isStopping) return
    this.#isReady = true
    const text = await this.#text()
    if (!this.#isStopping) this.#options.client.say({ READY: 1, STATUS: text })
    void this.#beat(this.#options.watchdogMs ?? 0)
  }

  /** An upgrade that was asked for by a signal does not begin: who waits for it is told so. */
  refused(reason: string): void {
    if (this.#reloading !== undefined || this.#isStopping) return
    this.#options.client.say({ RELOADING: 1, MONOTONIC_USEC: usec(nowMs()) })
    this.#options.client.say({ READY: 1, STATUS: `no upgrade: ${reason.replace(/\p{C}/gu, ' ').slice(0, 256)}` })
  }

  /** Nothing more is said. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#options.client.close()
  }

  #every(ms: number, what: () => void): void {
    const timer = setInterval(what, ms)
    timer.unref()
    this.#timers.push(timer)
  }

  #reloads(id: number): void {
    if (!this.#isReady || this.#isStopping) return
    this.#reloading = id
    // The manager compares it with the instant of its own signal (Type=notify-reload).
    this.#options.client.say({ RELOADING: 1, MONOTONIC_USEC: usec(nowMs()), STATUS: `upgrade ${id} is in progress` })
  }

  async #reloaded(id: number): Promise<void> {
    if (this.#reloading === id && !this.#isStopping) {
      this.#reloading = undefined
      const text = await this.#text()
      if (!this.#isStopping && this.#reloading === undefined) this.#options.client.say({ READY: 1, STATUS: text })
    } else void this.#tell()
  }

  #stops(): void {
    if (this.#isStopping) return
    this.#isStopping = true
    const graceMs = this.#options.drainMs + this.#options.keepMs + EXIT_GRACE_MS + MARGIN_MS
    this.#options.client.say({ STOPPING: 1, STATUS: 'stops', EXTEND_TIMEOUT_USEC: usec(graceMs) })
  }

  async #tell(): Promise<void> {
    if (!this.#isReady || this.#isStopping || this.#reloading !== undefined) return
    const before = this.#said
    const text = await this.#text()
    if (text !== before && !this.#isStopping && this.#reloading === undefined)
      this.#options.client.say({ STATUS: text })
  }

  async #text(): Promise<string> {
    this.#said = statusText(await this.#options.supervisor.status())
    return this.#said
  }

  /** This loop turns, or nothing would be said; so do those of all that serve, or nothing is. */
  async #beat(withinMs: number): Promise<void> {
    if (this.#options.watchdogMs === undefined || this.#isAsking) return
    this.#isAsking = true
    const answer = await this.#options.supervisor.answers(withinMs)
    this.#isAsking = false
    if (answer) this.#options.client.say({ WATCHDOG: 1 })
  }
}

const usec = (ms: number): number => Math.round(ms * 1000)
