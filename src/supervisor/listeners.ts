/**
 * The listening sockets, and those of UDP, by name. The supervisor makes them and keeps them for all generations: it never
 * watches one, so it never accepts or receives, and since its copy stays open no backlog is ever reset.
 */
import { binding } from '../sys/binding.js'
import { addressOf, adjust, type Bound, bind, type ListenerSpec, typeOf, unbind } from './bound.js'

interface Listener extends Bound {
  /** The kernel's identity of the socket; once it serves, as the runtime sees it: the proof that it is the same one. */
  cookie: string
  /** Bound to, as the runtime sees it: what was asked for, unless that was 0. */
  port: number
  /** The mode its path was last given. */
  mode: number | undefined
}

interface Claim {
  readonly listener: Listener
  /** As this generation has asked for it. */
  readonly spec: ListenerSpec
}

/** A listening socket as the serving runtime reports it. */
export interface Reported {
  readonly name: string
  readonly cookie: string
  readonly port: number
}

export class Listeners {
  #current = new Map<string, Listener>()
  /** What each generation asked for: decides what stays when it serves, and what goes when it is gone. */
  readonly #claims = new Map<number, Map<string, Claim>>()

  /**
   * The listener a generation asks for: the one there is, if name and address are the same, else a new one. The
   * descriptor stays this class'. Throws the system's error.
   */
  async provide(generation: number, spec: ListenerSpec): Promise<number> {
    const claims = this.#claims.get(generation) ?? new Map<string, Claim>()
    this.#claims.set(generation, claims)
    const before = claims.get(spec.name)?.listener ?? this.#current.get(spec.name)
    if (before !== undefined && sameAddress(before, spec)) {
      claims.set(spec.name, { listener: before, spec })
      return before.descriptor
    }
    const bound = await bind(spec)
    // Looking up a host takes its time, and the process that asked may have ended meanwhile.
    if (this.#claims.get(generation) !== claims) {
      unbind(bound)
      throw new Error(`listener "${spec.name}": the generation is gone that asked for it`)
    }
    const cookie = binding().socketCookie(bound.descriptor).toString()
    const listener = { ...bound, cookie, port: spec.port, mode: spec.mode }
    const replaced = claims.get(spec.name)
    claims.set(spec.name, { listener, spec })
    if (replaced !== undefined) this.#closeUnused([replaced.listener])
    return listener.descriptor
  }

  /** The generation serves: what it did not ask for is closed. */
  commit(generation: number, reported: readonly Reported[]): void {
    const claims = this.#claims.get(generation) ?? new Map<string, Claim>()
    for (const { name, cookie, port } of reported) {
      const claim = claims.get(name)
      // A runtime that has closed it at once has no port to tell; the socket has the one it had.
      if (claim !== undefined) Object.assign(claim.listener, { cookie, port: port || claim.listener.port })
    }
    const before = this.#current
    this.#current = new Map()
    for (const [name, { listener, spec }] of claims) {
      this.#current.set(name, listener)
      // A mode that is asked for again is not given again: somebody may have changed it since, and means it.
      if (spec.mode === undefined || spec.mode === listener.mode) continue
      adjust(listener, spec.mode)
      listener.mode = spec.mode
    }
    this.#claims.delete(generation)
    this.#closeUnused(before.values())
  }

  /** The generation will never serve: what was made for it alone is closed. */
  abort(generation: number): void {
    const claims = this.#claims.get(generation)
    this.#claims.delete(generation)
    if (claims !== undefined) this.#closeUnused(listenersOf(claims))
  }

  closeAll(): void {
    const all = this.#all()
    this.#current = new Map()
    this.#claims.clear()
    this.#closeUnused(all)
  }

  /** The names, and the addresses they are bound to. */
  list(): { name: string; address: string; cookie: string }[] {
    return [...this.#current.values()].map(({ spec, cookie, port }) => ({
      name: spec.name,
      address: addressOf(spec, port),
      cookie,
    }))
  }

  #all(): Set<Listener> {
    return new Set([...this.#current.values(), ...[...this.#claims.values()].flatMap(listenersOf)])
  }

  #closeUnused(listeners: Iterable<Listener>): void {
    const used = this.#all()
    for (const listener of new Set(listeners)) if (!used.has(listener)) unbind(listener)
  }
}

const listenersOf = (claims: ReadonlyMap<string, Claim>): Listener[] =>
  [...claims.values()].map(({ listener }) => listener)

function sameAddress({ spec, port }: Listener, now: ListenerSpec): boolean {
  if (typeOf(spec) !== typeOf(now) || spec.path !== now.path || spec.host !== now.host) return false
  return now.port === port || now.port === 0
}
