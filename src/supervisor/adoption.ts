/**
 * What another supervisor has started, and left by dying: each process that can be met again is taken over as what it is by then,
 * and whoever cannot is ended, so that nobody serves beside its replacement.
 */
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import { belongsTo, processRow, startedWith } from '../sys/process-tree.js'
import { endKnown } from './end-known.js'
import type { Generation } from './generation.js'
import type { Generations } from './generations.js'
import type { Listeners } from './listeners.js'
import { notifyAddress } from './notify.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import type { Said } from './process-words.js'
import type { ProcessRecord } from './record.js'
import type { Rendezvous } from './rendezvous.js'

export interface AdoptionContext {
  readonly rendezvous: Rendezvous
  readonly generations: Generations
  readonly listeners: Listeners
  readonly settings: Settings
}

type Known = ProcessRecord & { pid: number; startTime: string }

/** What has become of a process that another supervisor has started. */
export interface Met {
  readonly start: number
  readonly worker: number
  /** Undefined when it could not be taken over, and has ended. */
  readonly generation: Generation | undefined
  /** What it serves on; undefined when it does not serve. */
  readonly serves: Said<'active'>['listeners'] | undefined
}

/** While too many wait at its socket. */
const AGAIN_MS = 20
const EVENTS = ['rejoined', 'active', 'committed', 'aborted', 'drained', 'exit'] as const

/**
 * One process of the record. What it has given back stays claimed: another one may serve on it that is yet to be heard.
 * Throws when it could neither be met nor ended.
 */
export async function adopt(row: ProcessRecord, context: AdoptionContext): Promise<Met> {
  const { rendezvous, generations, listeners, settings } = context
  const { logger } = settings
  const { number, worker, pid, startTime, start } = row
  const label = { generation: number, worker, pid }
  const nobody: Met = { start, worker, generation: undefined, serves: undefined }
  const giveUp = async (why: string): Promise<Met> => {
    logger.warn(label, `a process of the supervisor before is ended: ${why}`)
    await endKnown(row, EXIT_GRACE_MS)
    rendezvous.close(row)
    return nobody
  }
  if (pid === null || startTime === null) return giveUp('it was only starting')
  const channel = await connect(row, rendezvous, settings.readyTimeoutMs)
  if (channel === undefined) return giveUp('it does not listen for another supervisor')
  let generation: Generation
  try {
    const peer = binding().peerCredentials(channel).pid
    if (!belongsTo(peer, pid)) {
      binding().close(channel)
      return giveUp(`process ${peer} listens in its place`)
    }
    generation = generations.adopt({ ...row, pid, startTime }, channel)
  } catch (error) {
    return giveUp(messageOf(error))
  }
  const facts = new Meeting(generation, listeners)
  await facts.until(settings.readyTimeoutMs, () => facts.rejoined !== undefined)
  // Two that were giving and taking decide it between themselves.
  const { checkMs, copyMs, freezeMs } = settings
  await facts.until(checkMs * 2 + copyMs + freezeMs * 6, () => !facts.transfers)
  facts.close()
  if (generation.state === 'serving') {
    logger.info(label, 'a process of the supervisor before goes on under this one')
    return { start, worker, generation, serves: facts.serves }
  }
  if (generation.state === 'draining') {
    logger.info(label, 'a process of the supervisor before drains on under this one')
    void drainOn(generation, facts.hasDrained, row.drainUntilMs ?? nowMs() + settings.drainMs)
    return { ...nobody, generation }
  }
  const why = facts.rejoined === undefined ? 'it does not answer' : 'it only waited to serve'
  if (generation.alive) logger.warn(label, `a process of the supervisor before is ended: ${why}`)
  await generation.kill()
  return nobody
}

/** Those that listen in the directory, should there be no record of them: they are of the release that runs. */
export function unrecorded(rendezvous: Rendezvous, known: readonly ProcessRecord[], release: ProcessRecord['release']) {
  const starts = new Set(known.map(({ start }) => start))
  return rendezvous.all().flatMap((name): Known[] => {
    if (starts.has(name.start)) return []
    const channel = rendezvous.connect(name)
    if (typeof channel === 'string') {
      rendezvous.close(name)
      return []
    }
    const { pid } = binding().peerCredentials(channel)
    binding().close(channel)
    const notify = startedWith(pid, 'NOTIFY_SOCKET') ?? notifyAddress()
    let startTime: string
    try {
      startTime = processRow(pid).startTime
    } catch {
      // It has just ended.
      return []
    }
    return [{ ...name, workers: 1, release, pid, startTime, notify, startedAtMs: nowMs(), drainUntilMs: null }]
  })
}

async function connect(row: ProcessRecord, rendezvous: Rendezvous, withinMs: number): Promise<number | undefined> {
  const untilMs = nowMs() + withinMs
  for (;;) {
    const channel = rendezvous.connect(row)
    if (typeof channel === 'number') return channel
    if (channel === 'gone' || nowMs() > untilMs) return undefined
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
  }
}

/** As after an upgrade of this supervisor's own: to its end, or to its deadline. */
async function drainOn(generation: Generation, hasDrained: boolean, untilMs: number): Promise<void> {
  generation.drains(untilMs)
  if (!hasDrained) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, untilMs - nowMs()) + EXIT_GRACE_MS)
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      generation.once('drained', end)
      generation.once('exit', end)
    })
  }
  await generation.stop(EXIT_GRACE_MS)
}

/** What is heard of a process from its connection on. */
class Meeting {
  rejoined: Said<'rejoined'> | undefined
  transfers = false
  serves: Said<'active'>['listeners'] = []
  hasDrained = false
  readonly #generation: Generation
  readonly #undo: (() => void)[] = []
  #look: () => void = () => undefined

  constructor(generation: Generation, listeners: Listeners) {
    this.#generation = generation
    this.#on('kept', (spec: Said<'kept'>, descriptor: number) => listeners.reclaim(generation.start, spec, descriptor))
    this.#on('rejoined', (said: Said<'rejoined'>) => {
      this.rejoined = said
      this.transfers = said.transfers
      this.serves = said.listeners
      this.hasDrained = said.drained !== undefined
    })
    this.#on('active', (said: Said<'active'>) => {
      this.transfers = false
      this.serves = said.listeners
    })
    for (const name of ['committed', 'aborted'] as const) this.#on(name, () => (this.transfers = false))
    this.#on('drained', () => (this.hasDrained = true))
    for (const name of EVENTS) this.#on(name, () => this.#look())
  }

  async until(withinMs: number, holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs)
      this.#look = () => {
        if (!holds() && this.#generation.alive) return
        clearTimeout(timer)
        resolve()
      }
      this.#look()
    })
  }

  close(): void {
    for (const step of this.#undo) step()
  }

  #on(name: string, listener: (...said: never[]) => void): void {
    this.#generation.on(name as 'exit', listener as () => void)
    this.#undo.push(() => this.#generation.removeListener(name as 'exit', listener as () => void))
  }
}
