/**
 * The listening sockets, by name. The supervisor makes them and keeps them for all generations: it never watches one, so
 * it never accepts, and since its copy stays open no backlog is ever reset. Workers that ask for the same get the same one.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'

export interface ListenerSpec {
  readonly name: string
  readonly host: string | null
  readonly port: number
  readonly backlog: number
}

interface Listener {
  readonly spec: ListenerSpec
  readonly descriptor: number
  /** The kernel's identity of the socket; once it serves, as the runtime sees it: the proof that it is the same one. */
  cookie: string
  /** Bound to, as the runtime sees it: what was asked for, unless that was 0. */
  port: number
}

/** A listening socket as the serving runtime reports it. */
export interface Reported {
  readonly name: string
  readonly cookie: string
  readonly port: number
}

export class Listeners {
  /** By worker: what it serves, or served last. */
  readonly #current = new Map<number, Map<string, Listener>>()
  /** What each process asked for: decides what stays when it serves, and what goes when it is gone. */
  readonly #wanted = new Map<number, Map<string, Listener>>()
  /** By name: two that ask at once must not make two of it. */
  readonly #queues = new Map<string, Promise<unknown>>()

  /**
   * The listener a process asks for: the one there is, if name and address are the same, else a new one. The descriptor
   * stays this class'. Throws the system's error.
   * @param start names the process.
   */
  async provide(start: number, spec: ListenerSpec): Promise<number> {
    const wanted = this.#wanted.get(start) ?? new Map<string, Listener>()
    this.#wanted.set(start, wanted)
    const turn = (this.#queues.get(spec.name) ?? Promise.resolve()).then(() => this.#provide(start, wanted, spec))
    const settled = turn.then(
      () => undefined,
      () => undefined,
    )
    this.#queues.set(spec.name, settled)
    try {
      return await turn
    } finally {
      if (this.#queues.get(spec.name) === settled) this.#queues.delete(spec.name)
    }
  }

  async #provide(start: number, wanted: Map<string, Listener>, spec: ListenerSpec): Promise<number> {
    const others = [...this.#current.values(), ...this.#wanted.values()]
    const take = (listener: Listener): number => {
      const replaced = wanted.get(spec.name)
      wanted.set(spec.name, listener)
      if (replaced !== undefined) this.#closeUnused([replaced])
      return listener.descriptor
    }
    const before = [wanted, ...others]
      .map((each) => each.get(spec.name))
      .find((each) => each && sameAddress(each, spec))
    if (before !== undefined) return take(before)
    const made = await make(spec)
    // Looking up a host takes its time, and the process that asked may have ended meanwhile.
    if (this.#wanted.get(start) !== wanted) {
      binding().close(made.descriptor)
      throw new Error(`listener "${spec.name}": the process is gone that asked for it`)
    }
    return take(made)
  }

  /** The process serves as that worker: what neither it nor another asked for is closed. */
  commit(start: number, reported: readonly Reported[], worker = 0): void {
    const kept = this.#wanted.get(start) ?? new Map<string, Listener>()
    for (const { name, cookie, port } of reported) {
      const listener = kept.get(name)
      if (listener !== undefined) Object.assign(listener, { cookie, port })
    }
    const before = this.#current.get(worker)
    this.#current.set(worker, kept)
    this.#wanted.delete(start)
    if (before !== undefined) this.#closeUnused(before.values())
  }

  /** The process will never serve: what was made for it alone is closed. */
  abort(start: number): void {
    const wanted = this.#wanted.get(start)
    this.#wanted.delete(start)
    if (wanted !== undefined) this.#closeUnused(wanted.values())
  }

  /** There is no such worker any more: what it alone served is closed. */
  retire(worker: number): void {
    const before = this.#current.get(worker)
    this.#current.delete(worker)
    if (before !== undefined) this.#closeUnused(before.values())
  }

  closeAll(): void {
    const all = this.#all()
    this.#current.clear()
    this.#wanted.clear()
    this.#closeUnused(all)
  }

  /** The names, and the addresses they are bound to. */
  list(): { name: string; address: string; cookie: string }[] {
    const current = new Set([...this.#current.values()].flatMap((each) => [...each.values()]))
    return [...current].map(({ spec, cookie, port }) => ({
      name: spec.name,
      address: addressOf(spec.host, port),
      cookie,
    }))
  }

  #all(): Set<Listener> {
    return new Set([...this.#current.values(), ...this.#wanted.values()].flatMap((each) => [...each.values()]))
  }

  #closeUnused(listeners: Iterable<Listener>): void {
    const used = this.#all()
    for (const listener of new Set(listeners)) if (!used.has(listener)) binding().close(listener.descriptor)
  }
}

function sameAddress({ spec, port }: Listener, now: ListenerSpec): boolean {
  return spec.host === now.host && (now.port === port || now.port === 0)
}

function addressOf(host: string | null, port: number): string {
  return `${host === null ? '*' : host.includes(':') ? `[${host}]` : host}:${port}`
}

async function make(spec: ListenerSpec): Promise<Listener> {
  const { host, port, backlog } = spec
  let descriptor: number
  try {
    if (host === null) descriptor = listenEverywhere(port, backlog)
    else descriptor = binding().listenTcp(isIP(host) === 0 ? (await lookup(host)).address : host, port, backlog, false)
  } catch (error) {
    throw new Error(`listener "${spec.name}" on ${addressOf(host, port)}: ${messageOf(error)}`, { cause: error })
  }
  return { spec, descriptor, cookie: binding().socketCookie(descriptor).toString(), port }
}

/** As Node does: all addresses of both families, or of IPv4 where there is no IPv6. */
function listenEverywhere(port: number, backlog: number): number {
  try {
    return binding().listenTcp('::', port, backlog, false)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return binding().listenTcp('0.0.0.0', port, backlog, false)
  }
}
