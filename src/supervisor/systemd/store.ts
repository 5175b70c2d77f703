/**
 * The manager's store of descriptors (FDSTORE=1, sd_pid_notify_with_fds(3)): what is in it outlives this process, and comes
 * back to the next one of the same unit, also after a crash. It goes when the unit is stopped.
 */
import { binding } from '../../sys/binding.js'
import { closeAll } from '../../sys/channel.js'
import type { ListenerStore, SessionStore } from '../kept.js'
import type { Passed } from './activation.js'
import type { NotifyClient } from './notify-client.js'

/** Keeps descriptors under names of 1 to 255 printable characters, without a colon. */
export interface DescriptorStore {
  /** What the process before has left, by name. Who takes an entry out owns its descriptors. */
  readonly found: Map<string, number[]>
  /** They stay the caller's; the store has duplicates. What is there under the name already stays, too. False: it took none, or not all. */
  put(name: string, descriptors: readonly number[]): boolean
  remove(name: string): void
  /** Resolves when all that was said is done; false when that was not heard of in time. */
  barrier(timeoutMs: number): Promise<boolean>
}

/** Everything this supervisor stores; what a socket unit passes has names of its own. */
export const STORED = 'handover.'
const LISTENER = `${STORED}listen.`
const BAG = `${STORED}bag.`
const BARRIER_MS = 10_000
const ATTEMPTS = 20
const MAX_NAME = 255
/** Descriptors in one message: systemd takes as many as SCM_RIGHTS carries, and is asked for few at a time. */
const AT_ONCE = 64

export class SystemdStore implements DescriptorStore {
  readonly found = new Map<string, number[]>()
  readonly #client: NotifyClient

  constructor(client: NotifyClient, passed: readonly Passed[]) {
    this.#client = client
    for (const { name, descriptor } of passed) {
      const same = this.found.get(name)
      if (same === undefined) this.found.set(name, [descriptor])
      else same.push(descriptor)
    }
  }

  put(name: string, descriptors: readonly number[]): boolean {
    let areTaken = true
    // FDPOLL=0: a listening socket without a client is no error, and the end of a connection is not the manager's affair.
    for (let at = 0; at < descriptors.length; at += AT_ONCE)
      if (!this.#client.say({ FDSTORE: 1, FDNAME: name, FDPOLL: 0 }, descriptors.slice(at, at + AT_ONCE)))
        areTaken = false
    return areTaken
  }

  remove(name: string): void {
    this.#client.say({ FDSTOREREMOVE: 1, FDNAME: name })
  }

  barrier(timeoutMs: number): Promise<boolean> {
    return this.#client.barrier(timeoutMs)
  }

  /** What nobody has taken is of no use any more. */
  discard(): void {
    for (const [name, descriptors] of this.found) {
      closeAll(descriptors)
      this.remove(name)
    }
    this.found.clear()
  }
}

/** Listening sockets in a store, each under its cookie and its name. */
export function listenerStore(store: DescriptorStore): ListenerStore {
  const key = (name: string, descriptor: number): string =>
    `${LISTENER}${binding().socketCookie(descriptor)}.${encodeURIComponent(name)}`
  return {
    take: () => {
      const taken: { name: string; descriptor: number }[] = []
      for (const [stored, descriptors] of store.found) {
        const [, name] = /^\d+\.(.+)$/.exec(stored.startsWith(LISTENER) ? stored.slice(LISTENER.length) : '') ?? []
        if (name === undefined) continue
        store.found.delete(stored)
        for (const descriptor of descriptors) taken.push({ name: decodeURIComponent(name), descriptor })
      }
      return taken
    },
    keep: (name, descriptor) => {
      const stored = key(name, descriptor)
      // One whose name is longer is made anew by the next supervisor.
      if (stored.length <= MAX_NAME) store.put(stored, [descriptor])
    },
    forget: (name, descriptor) => store.remove(key(name, descriptor)),
  }
}

/** Sessions in a store, each bag under its worker and its number. */
export function sessionStore(store: DescriptorStore): SessionStore {
  return {
    take() {
      const taken = new Map<number, { readonly at: number; readonly descriptors: readonly number[] }[]>()
      for (const [stored, descriptors] of store.found) {
        const [, worker, at] =
          /^(\d{1,4})\.(\d{1,6})$/.exec(stored.startsWith(BAG) ? stored.slice(BAG.length) : '') ?? []
        if (worker === undefined) continue
        store.found.delete(stored)
        // What is in the queue is taken by whoever reads it first: the store's own descriptor of it is of no use any more.
        store.remove(stored)
        taken.set(Number(worker), [...(taken.get(Number(worker)) ?? []), { at: Number(at), descriptors }])
      }
      return [...taken].map(([worker, bags]) => ({
        worker,
        descriptors: bags.toSorted((a, b) => a.at - b.at).flatMap(({ descriptors }) => descriptors),
      }))
    },
    async keep(worker, bags) {
      let areTaken = true
      for (const [at, bag] of bags.entries()) {
        const name = `${BAG}${worker}.${at}`
        // The manager may be busy: it is asked again, each time as long as it takes to have room.
        for (let attempt = 0; attempt < ATTEMPTS && !store.put(name, [bag]); attempt++)
          if (attempt === ATTEMPTS - 1) areTaken = false
      }
      return (await store.barrier(BARRIER_MS)) && areTaken
    },
  }
}
