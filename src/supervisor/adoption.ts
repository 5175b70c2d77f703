/**
 * What another supervisor has started, and left by dying: each process that can be met again is taken over as what it is by then,
 * and whoever cannot is ended, so that nobody serves beside its replacement.
 */
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import { belongsTo, isGone, processRow, startedWith } from '../sys/process-tree.js'
import { endKnown } from './end-known.js'
import type { Generation } from './generation.js'
import type { Generations } from './generations.js'
import type { Listeners } from './listeners.js'
import { NOTIFY_ADDRESS } from './notify.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import { endStartedWith } from './orphans.js'
import type { Said } from './process-words.js'
import type { ProcessRecord } from './record.js'
import type { Name, Rendezvous } from './rendezvous.js'

export interface AdoptionContext {
  readonly rendezvous: Rendezvous
  readonly generations: Generations
  readonly listeners: Listeners
  readonly settings: Settings
  /** This process has started them itself, before its execve(2): what does not join has not been without a supervisor. */
  readonly isSame: boolean
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

const AGAIN_MS = 20
const EVENTS = ['rejoined', 'active', 'committed', 'aborted', 'drained', 'exit'] as const

/**
 * One process of the record. What it has given back stays claimed: another one may serve on it that is yet to be heard.
 * Throws when it could neither be met nor ended.
 */
export async function adopt(row: ProcessRecord, context: AdoptionContext): Promise<Met> {
  const { rendezvous, listeners, settings } = context
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
  if (context.isSame && row.program !== undefined)
    return goOn({ ...row, pid, startTime }, row.program, context) ?? nobody
  let generation: Generation | string
  try {
    generation = await patiently(settings.readyTimeoutMs, () => meet({ ...row, pid, startTime }, context))
  } catch (error) {
    return giveUp(messageOf(error))
  }
  if (typeof generation === 'string') return giveUp(generation)
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

/** Why not, where that is certain. Throws the system's error where it is not, and Error when the process has ended. */
function meet(known: Known, { rendezvous, generations }: AdoptionContext): Generation | string {
  const channel = rendezvous.connect(known)
  if (channel === undefined) return 'it does not listen for another supervisor'
  const peer = peerOf(channel)
  if (peer === known.pid) return generations.adopt(known, channel)
  try {
    // `belongsTo` says no, too, where there is no descriptor to look with.
    processRow(peer)
  } catch (error) {
    binding().close(channel)
    if (!isGone(error)) throw error
    return `process ${peer} has listened in its place, and has ended`
  }
  if (belongsTo(peer, known.pid)) return generations.adopt(known, channel)
  binding().close(channel)
  return `process ${peer} listens in its place`
}

/** A program that does not join is as it was. Undefined when it has just ended. */
function goOn(row: Known, state: 'serving' | 'draining', { generations, settings }: AdoptionContext): Met | undefined {
  let generation: Generation
  try {
    generation = generations.adopt(row)
  } catch {
    // Whoever is left of it is ended, too.
    endStartedWith(row.notify)
    return undefined
  }
  generation.state = state
  if (state === 'draining') void drainOn(generation, false, row.drainUntilMs ?? nowMs() + settings.drainMs)
  return { start: row.start, worker: row.worker, generation, serves: state === 'serving' ? [] : undefined }
}

/** Those that listen in the directory, should there be no record of them: they are of the release that runs. */
export async function unrecorded(
  context: AdoptionContext,
  known: readonly ProcessRecord[],
  release: ProcessRecord['release'],
): Promise<Known[]> {
  const starts = new Set(known.map(({ start }) => start))
  const names = context.rendezvous.all().filter(({ start }) => !starts.has(start))
  const found = await Promise.all(names.map(async (name) => ({ name, process: await whoListens(name, context) })))
  return found.flatMap(({ name, process }): Known[] =>
    process === undefined
      ? []
      : [{ ...name, ...process, workers: 1, release, startedAtMs: nowMs(), drainUntilMs: null }],
  )
}

async function whoListens(
  name: Name,
  { rendezvous, settings: { logger, readyTimeoutMs } }: AdoptionContext,
): Promise<Pick<Known, 'pid' | 'startTime' | 'notify'> | undefined> {
  const label = { generation: name.number, worker: name.worker }
  let pid: number
  try {
    const channel = await patiently(readyTimeoutMs, () => rendezvous.connect(name))
    if (channel === undefined) {
      rendezvous.close(name)
      return undefined
    }
    pid = peerOf(channel)
    binding().close(channel)
  } catch (error) {
    logger.error(label, `who listens at a socket of the supervisor before cannot be said: ${messageOf(error)}`)
    return undefined
  }
  try {
    // In this order: should the number be used again in between, the start time is not that of who is taken over.
    const { startTime } = processRow(pid)
    const notify = startedWith(pid, 'NOTIFY_SOCKET')
    if (notify !== undefined && NOTIFY_ADDRESS.test(notify)) return { pid, startTime, notify }
  } catch {
    // It has ended.
  }
  // The kernel names who has called listen(2). A descendant may hold the socket longer than that one lives, and the number be a stranger's.
  logger.warn(
    { ...label, pid },
    'who listens at a socket of the supervisor before is none of its processes: left alone',
  )
  rendezvous.close(name)
  return undefined
}

/** Closes the channel when it throws. */
function peerOf(channel: number): number {
  try {
    return binding().peerCredentials(channel).pid
  } catch (error) {
    binding().close(channel)
    throw error
  }
}

/** What this process lacks for the moment, descriptors above all, says nothing of another one. Throws the last error. */
async function patiently<T>(withinMs: number, look: () => T): Promise<T> {
  const untilMs = nowMs() + withinMs
  for (;;) {
    try {
      return look()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined || nowMs() > untilMs) throw error
    }
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
