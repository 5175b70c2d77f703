/**
 * The listening sockets, and those of UDP, by name. The supervisor makes them and keeps them for all generations: it never
 * watches one, so it never accepts or receives, and since its copy stays open no backlog is ever reset. Workers that ask for
 * the same get the same one.
 */
import { fstatSync } from 'node:fs'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { tcpTable } from '../sys/tcp-table.js'
import { addressOf, adjust, type Bound, bind, type ListenerSpec, typeOf, unbind } from './bound.js'
import type { CarriedSocket } from './image.js'
import { boundFrom, isAsked, type ListenerStore } from './kept.js'
import type { PassedListener } from './release.js'

export type { ListenerSpec } from './bound.js'

interface Listener extends Bound {
  /** As it was last asked for. */
  spec: ListenerSpec
  /** The kernel's identity of the socket; once it serves, as the runtime sees it: the proof that it is the same one. */
  cookie: string
  /** Bound to, as the runtime sees it: what was asked for, unless that was 0. */
  port: number
  /** The mode its path was last given. */
  mode: number | undefined
  /** Somebody else has bound it, and passed it to this process. */
  readonly isInherited?: boolean
}

interface Claim {
  readonly listener: Listener
  /** As this process has asked for it. */
  readonly spec: ListenerSpec
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
  readonly #claims = new Map<number, Map<string, Claim>>()
  /** Of the command line: every process has them from its start, whether it asks or not, until all is closed. */
  readonly #fixed = new Map<string, Listener>()
  /** By name: two that ask at once must not make two of it. */
  readonly #queues = new Map<string, Promise<unknown>>()
  /** Of the supervisor before: kept until it is known what is asked for. */
  readonly #former = new Set<Listener>()
  readonly #store: ListenerStore | undefined

  /**
   * @param store keeps what is bound here beyond the end of this process; `closeAll` leaves it there.
   * @param carried of this process before its execve(2); taken over.
   */
  constructor(store?: ListenerStore, carried: readonly PassedListener[] = []) {
    this.#store = store
    for (const { name, descriptor } of [...carried, ...(store?.take() ?? [])]) {
      const bound = boundFrom(name, descriptor)
      if (bound !== undefined) this.#former.add(listenerOf(bound, bound.port))
      else {
        store?.forget(name, descriptor)
        binding().close(descriptor)
      }
    }
  }

  /** What the supervisor before has left and nobody asks for is closed. */
  settle(): void {
    const former = [...this.#former]
    this.#former.clear()
    this.#closeUnused(former)
  }

  /**
   * Takes over listening sockets that somebody else has bound; every process has them from its start.
   * @throws HandoverError HANDOVER_LISTEN_REFUSED, naming the one that is none: all are closed then.
   */
  inherit(passed: readonly PassedListener[]): void {
    for (const { name, descriptor } of passed) {
      const bound = boundFrom(name, descriptor)
      if (bound !== undefined && !this.#fixed.has(name)) {
        // Its path is whose socket unit it is.
        this.#fixed.set(name, { ...listenerOf(bound, bound.port), path: undefined, isInherited: true })
        continue
      }
      for (const each of passed)
        if (this.#fixed.get(each.name)?.descriptor !== each.descriptor) binding().close(each.descriptor)
      const what = bound === undefined ? 'is no listening or UDP socket' : 'has the name of another one'
      throw new HandoverError('HANDOVER_LISTEN_REFUSED', `the socket "${name}" that was passed to this process ${what}`)
    }
  }

  /** Makes the listeners every generation is started with. @throws HandoverError HANDOVER_LISTEN_REFUSED */
  async open(specs: readonly ListenerSpec[]): Promise<void> {
    for (const spec of specs) {
      try {
        const inherited = this.#fixed.get(spec.name)
        if (inherited !== undefined) throw new Error(`listener "${spec.name}" is passed to this process already`)
        const listener = (await this.#formerOf(spec)) ?? (await this.#servedAt(spec)) ?? (await this.#make(spec))
        this.#fixed.set(spec.name, listener)
        listener.port = boundPort(listener) ?? spec.port
      } catch (cause) {
        throw new HandoverError('HANDOVER_LISTEN_REFUSED', messageOf(cause), { cause })
      }
    }
  }

  /** What a program is started with. The descriptors stay this class'. */
  passed(): PassedListener[] {
    return [...this.#fixed].map(([name, { descriptor }]) => ({ name, descriptor }))
  }

  /** All that is open here, for this process after an execve(2). The descriptors stay this class'. */
  carried(): CarriedSocket[] {
    return [...this.#all()].map(({ spec: { name }, descriptor, isInherited = false }) => ({
      name,
      descriptor,
      isInherited,
    }))
  }

  /** The ports of all that serve. */
  ports(): Set<number> {
    return new Set([...this.#serving()].map(({ port }) => port))
  }

  /**
   * The listener a process asks for: the one there is, if name and address are the same, else a new one. The descriptor
   * stays this class'. Throws the system's error.
   * @param start names the process.
   */
  async provide(start: number, spec: ListenerSpec): Promise<number> {
    const claims = this.#claims.get(start) ?? new Map<string, Claim>()
    this.#claims.set(start, claims)
    const turn = (this.#queues.get(spec.name) ?? Promise.resolve()).then(() => this.#provide(start, claims, spec))
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

  async #provide(start: number, claims: Map<string, Claim>, spec: ListenerSpec): Promise<number> {
    const take = (listener: Listener): number => {
      const replaced = claims.get(spec.name)
      claims.set(spec.name, { listener, spec })
      if (replaced !== undefined) this.#closeUnused([replaced.listener])
      return listener.descriptor
    }
    const fixed = this.#fixed.get(spec.name)
    if (fixed !== undefined) {
      if (mayServe(fixed, spec)) return take(fixed)
      throw new Error(
        `listener "${spec.name}" is kept on ${addressOf(fixed.spec, fixed.port)} by the supervisor (${fixed.isInherited === true ? 'a socket unit' : '--listen'}), and was asked for on ${addressOf(spec, spec.port)}`,
      )
    }
    const own = claims.get(spec.name)?.listener
    const before = [own, ...this.#all()].find(
      (each) => each !== undefined && each.spec.name === spec.name && sameAddress(each, spec),
    )
    if (before !== undefined) return take(before)
    const listener = (await this.#formerOf(spec)) ?? (await this.#make(spec))
    // Looking up a host takes its time, and the process that asked may have ended meanwhile.
    if (this.#claims.get(start) !== claims) {
      this.#closeUnused([listener])
      throw new Error(`listener "${spec.name}": the process is gone that asked for it`)
    }
    return take(listener)
  }

  /**
   * A process that another supervisor has started gives back what it serves on: as if it had been provided here.
   * @param descriptor taken over: another of the same socket may be here already, from a socket unit or a store.
   */
  reclaim(start: number, spec: ListenerSpec, descriptor: number): void {
    let cookie: string
    try {
      cookie = binding().socketCookie(descriptor).toString()
    } catch {
      // It is no socket, and nothing that could be served on.
      binding().close(descriptor)
      return
    }
    const claims = this.#claims.get(start) ?? new Map<string, Claim>()
    this.#claims.set(start, claims)
    const same = [...this.#all()].find((each) => each.cookie === cookie)
    if (same !== undefined) {
      binding().close(descriptor)
      if (this.#former.delete(same)) same.spec = spec
      claims.set(spec.name, { listener: same, spec })
      return
    }
    const bound = boundFrom(spec.name, descriptor)
    // A unix listener whose path somebody has removed is still served on by who has connected, and has no path here.
    const listener = listenerOf({ descriptor, path: bound?.path, spec }, bound?.port ?? 0)
    this.#store?.keep(spec.name, descriptor)
    claims.set(spec.name, { listener, spec })
  }

  /** The process serves as that worker: what neither it nor another asked for is closed. */
  commit(start: number, reported: readonly Reported[], worker = 0): void {
    const claims = this.#claims.get(start) ?? new Map<string, Claim>()
    for (const { name, cookie, port } of reported) {
      const claim = claims.get(name)
      // A runtime that has closed it at once has no port to tell; the socket has the one it had.
      if (claim !== undefined) Object.assign(claim.listener, { cookie, port: port || claim.listener.port })
    }
    const before = this.#current.get(worker)
    const current = new Map<string, Listener>()
    this.#current.set(worker, current)
    for (const [name, { listener, spec }] of claims) {
      current.set(name, listener)
      // A mode that is asked for again is not given again: somebody may have changed it since, and means it.
      if (spec.mode === undefined || spec.mode === listener.mode) continue
      adjust(listener, spec.mode)
      listener.mode = spec.mode
    }
    this.#claims.delete(start)
    if (before !== undefined) this.#closeUnused(before.values())
  }

  /** The process will never serve: what was made for it alone is closed. */
  abort(start: number): void {
    const claims = this.#claims.get(start)
    this.#claims.delete(start)
    if (claims !== undefined) this.#closeUnused(listenersOf(claims))
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
    this.#claims.clear()
    this.#fixed.clear()
    this.#former.clear()
    // What is kept is bound, and its path with it: connections wait there for the next supervisor.
    if (this.#store === undefined) this.#closeUnused(all)
    else for (const { descriptor } of all) binding().close(descriptor)
  }

  async #make(spec: ListenerSpec): Promise<Listener> {
    const listener = listenerOf(await this.#bind(spec), spec.port)
    this.#store?.keep(spec.name, listener.descriptor)
    return listener
  }

  async #bind(spec: ListenerSpec): Promise<Bound> {
    try {
      return await bind(spec)
    } catch (error) {
      // What the supervisor before has left must not be in the way of a release that asks for another address of that port.
      const inTheWay = [...this.#former].filter(({ spec: { type }, port }) => type === spec.type && port === spec.port)
      if (inTheWay.length === 0 || codeOf(error) !== 'EADDRINUSE') throw error
      for (const former of inTheWay) this.#former.delete(former)
      this.#closeUnused(inTheWay)
      return bind(spec)
    }
  }

  /** What the supervisor before has left at that address: under that name, or, as it is asked for now, under another. */
  async #formerOf(spec: ListenerSpec): Promise<Listener | undefined> {
    const former =
      (await this.#formerWhere((former) => isAsked(former, spec))) ??
      (isOpenPort(spec)
        ? undefined
        : await this.#formerWhere((former) => isAsked(former, { ...spec, name: former.spec.name })))
    if (former === undefined) return undefined
    if (former.spec.name !== spec.name) {
      this.#store?.forget(former.spec.name, former.descriptor)
      this.#store?.keep(spec.name, former.descriptor)
    }
    former.spec = spec
    return former
  }

  async #formerWhere(is: (former: Listener) => Promise<boolean>): Promise<Listener | undefined> {
    for (const former of this.#former) if (await is(former)) return former
    return undefined
  }

  /** What an adopted process serves on at that address; what it asked for need not say the address. */
  async #servedAt(spec: ListenerSpec): Promise<Listener | undefined> {
    for (const listener of this.#all()) {
      const bound = listener.spec.name === spec.name ? boundFrom(spec.name, listener.descriptor) : undefined
      if (bound !== undefined && (await isAsked(bound, spec))) return listener
    }
    return undefined
  }

  /** The names, and the addresses they are bound to. */
  list(): { name: string; address: string; cookie: string }[] {
    return [...this.#serving()].map(({ spec, cookie, port }) => ({
      name: spec.name,
      address: addressOf(spec, port),
      cookie,
    }))
  }

  #serving(): Set<Listener> {
    return new Set([...this.#fixed.values(), ...[...this.#current.values()].flatMap((each) => [...each.values()])])
  }

  #all(): Set<Listener> {
    return new Set([...this.#serving(), ...this.#former, ...[...this.#claims.values()].flatMap(listenersOf)])
  }

  #closeUnused(listeners: Iterable<Listener>): void {
    const used = this.#all()
    for (const listener of new Set(listeners)) {
      if (used.has(listener)) continue
      this.#store?.forget(listener.spec.name, listener.descriptor)
      unbind(listener)
    }
  }
}

const listenersOf = (claims: ReadonlyMap<string, Claim>): Listener[] =>
  [...claims.values()].map(({ listener }) => listener)

function listenerOf(bound: Bound, port: number): Listener {
  const cookie = binding().socketCookie(bound.descriptor).toString()
  return { ...bound, cookie, port, mode: bound.spec.mode }
}

/** Any port will do. */
const isOpenPort = (spec: ListenerSpec): boolean => typeOf(spec) !== 'unix' && spec.port === 0

const codeOf = (error: unknown): string | undefined =>
  ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code

function sameAddress({ spec, port }: Listener, now: ListenerSpec): boolean {
  if (typeOf(spec) !== typeOf(now) || spec.path !== now.path || spec.host !== now.host) return false
  return now.port === port || now.port === 0
}

/** A runtime may leave open which address or port it gets; it does not get another than it asks for. */
function mayServe({ spec, port }: Listener, asked: ListenerSpec): boolean {
  if (typeOf(spec) !== typeOf(asked) || (asked.path !== undefined && asked.path !== spec.path)) return false
  return (asked.port === 0 || asked.port === port) && (asked.host === null || asked.host === spec.host)
}

/** The port the kernel chose, or was told. */
function boundPort({ descriptor, spec }: Listener): number | undefined {
  if (typeOf(spec) !== 'tcp') return undefined
  const inode = String(fstatSync(descriptor).ino)
  return tcpTable().find((row) => row.isListening && row.inode === inode)?.localPort
}
