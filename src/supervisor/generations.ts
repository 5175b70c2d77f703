/** All processes there are, and how there come to be more: started here, or by a supervisor before this one. */
import { messageOf } from '../errors.js'
import type { Logger } from '../logger.js'
import { binding } from '../sys/binding.js'
import { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import { notifyAddress } from './notify.js'
import { adopted, started } from './origin.js'
import { endStartedWith } from './orphans.js'
import type { Identity } from './process-words.js'
import type { ProcessRecord } from './record.js'
import type { Release } from './release.js'
import type { Rendezvous } from './rendezvous.js'

export interface GenerationsContext {
  readonly listeners: Listeners
  readonly logger: Logger
  /** Undefined: nobody is to find them. */
  rendezvous(): Rendezvous | undefined
  /** What is to be remembered has changed. */
  onChange(): void
}

export class Generations {
  /** Processes that were started, the adopted ones among them. */
  starts = 0
  readonly #context: GenerationsContext
  readonly #all = new Set<Generation>()
  readonly #keepers = new WeakSet<Generation>()
  /** About to be started: whoever comes after a death in between finds it by its NOTIFY_SOCKET. */
  #coming: ProcessRecord | undefined

  constructor(context: GenerationsContext) {
    this.#context = context
  }

  [Symbol.iterator](): IterableIterator<Generation> {
    return this.#all.values()
  }

  /** Throws what this process lacks: descriptors. */
  spawn(of: Omit<Identity, 'start'>, release: Release, role: 'first' | 'successor'): Generation {
    return this.#spawn(of, release, role, true)
  }

  /** As `spawn`, of one that is to serve nothing: it has no listening sockets, and is not found by another supervisor. */
  spawnKeeper(of: Omit<Identity, 'start'>, release: Release): Generation {
    return this.#spawn(of, release, 'successor', false)
  }

  #spawn(of: Omit<Identity, 'start'>, release: Release, role: 'first' | 'successor', serves: boolean): Generation {
    const { listeners, rendezvous, onChange } = this.#context
    const identity = { ...of, start: ++this.starts }
    const notify = notifyAddress()
    const none = { pid: null, startTime: null, startedAtMs: 0, drainUntilMs: null }
    this.#coming = { ...identity, ...none, release, notify }
    onChange()
    let rejoin: number | undefined
    try {
      rejoin = serves ? this.#openRendezvous(identity) : undefined
      const origin = started({ release, listeners: serves ? listeners.passed() : [], notify, rejoin })
      const generation = new Generation(identity, release, role, origin)
      if (!serves) this.#keepers.add(generation)
      return this.#include(generation)
    } catch (error) {
      rendezvous()?.close(identity)
      throw error
    } finally {
      if (rejoin !== undefined) binding().close(rejoin)
      this.#coming = undefined
      onChange()
    }
  }

  /** Undefined when it cannot be made: the process serves all the same. */
  #openRendezvous(identity: Identity): number | undefined {
    const { rendezvous, logger } = this.#context
    try {
      return rendezvous()?.open(identity)
    } catch (error) {
      logger.warn(
        { generation: identity.number, worker: identity.worker },
        `another supervisor will not find this process, should this one be killed: ${messageOf(error)}`,
      )
      return undefined
    }
  }

  /**
   * Takes over one that another supervisor has started. Throws when that process has ended.
   * @param channel to it; taken over, also when it throws. Undefined: a program that does not join.
   */
  adopt(known: ProcessRecord & { pid: number; startTime: string }, channel?: number): Generation {
    const { release, notify, startedAtMs, number, worker, workers, start } = known
    const generation = new Generation(
      { number, worker, workers, start },
      release,
      'first',
      adopted(known, notify, channel),
    )
    generation.startedAtMs = startedAtMs
    return this.#include(generation)
  }

  /** One of them was started as that process. */
  has(pid: number): boolean {
    return [...this.#all].some(({ startedPid }) => startedPid === pid)
  }

  rows(): ProcessRecord[] {
    // A keeper ends with its supervisor: nobody is to find it.
    const rows = [...this.#all].filter((each) => !this.#keepers.has(each)).map(rowOf)
    return this.#coming === undefined ? rows : [...rows, this.#coming]
  }

  #include(generation: Generation): Generation {
    const { listeners, rendezvous, onChange } = this.#context
    this.#all.add(generation)
    generation.once('exit', () => {
      this.#all.delete(generation)
      rendezvous()?.close(generation)
      onChange()
      if (!generation.joins) endStartedWith(generation.notifySocket)
    })
    generation.on('listen', ({ request, ...spec }) => {
      listeners.provide(generation.start, spec).then(
        (descriptor) => generation.send('listening', { request, type: spec.type }, [descriptor]),
        (error) => generation.send('unavailable', { request, reason: messageOf(error) }),
      )
    })
    return generation
  }
}

function rowOf(generation: Generation): ProcessRecord {
  const { number, worker, workers, start, release, startedPid, startTime, startedAtMs, state } = generation
  return {
    number,
    worker,
    workers,
    start,
    release,
    pid: startedPid ?? null,
    startTime: startTime ?? null,
    notify: generation.notifySocket,
    startedAtMs,
    drainUntilMs: generation.drainUntilMs ?? null,
    ...(!generation.joins && (state === 'serving' || state === 'draining') ? { program: state } : {}),
  }
}
