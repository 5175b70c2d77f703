/**
 * The listening sockets, by name. The supervisor makes them and keeps them for all generations: it never watches one, so
 * it never accepts, and since its copy stays open no backlog is ever reset.
 */
import { lookup } from 'node:dns/promises'
import { fstatSync } from 'node:fs'
import { isIP } from 'node:net'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { tcpTable } from '../sys/tcp-table.js'
import type { PassedListener } from './release.js'

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
  #current = new Map<string, Listener>()
  /** What each generation asked for: decides what stays when it serves, and what goes when it is gone. */
  readonly #wanted = new Map<number, Map<string, Listener>>()
  /** Of the command line: every generation has them from its start, whether it asks or not, until all is closed. */
  readonly #fixed = new Map<string, Listener>()

  /** Makes the listeners every generation is started with. @throws HandoverError HANDOVER_LISTEN_REFUSED */
  async open(specs: readonly ListenerSpec[]): Promise<void> {
    for (const spec of specs) {
      try {
        const made = await make(spec)
        this.#fixed.set(spec.name, made)
        made.port = boundPort(made.descriptor) ?? spec.port
      } catch (cause) {
        throw new HandoverError('HANDOVER_LISTEN_REFUSED', messageOf(cause), { cause })
      }
    }
  }

  /** What a program is started with. The descriptors stay this class'. */
  passed(): PassedListener[] {
    return [...this.#fixed].map(([name, { descriptor }]) => ({ name, descriptor }))
  }

  /** The ports of all that serve. */
  ports(): Set<number> {
    return new Set([...this.#fixed.values(), ...this.#current.values()].map(({ port }) => port))
  }

  /**
   * The listener a generation asks for: the one there is, if name and address are the same, else a new one. The
   * descriptor stays this class'. Throws the system's error.
   */
  async provide(generation: number, spec: ListenerSpec): Promise<number> {
    const wanted = this.#wanted.get(generation) ?? new Map<string, Listener>()
    this.#wanted.set(generation, wanted)
    const fixed = this.#fixed.get(spec.name)
    if (fixed !== undefined && !mayServe(fixed, spec))
      throw new Error(
        `listener "${spec.name}" is kept on ${addressOf(fixed.spec.host, fixed.port)} by the supervisor (--listen), and was asked for on ${addressOf(spec.host, spec.port)}`,
      )
    const before = fixed ?? wanted.get(spec.name) ?? this.#current.get(spec.name)
    if (before !== undefined && (before === fixed || sameAddress(before, spec))) {
      wanted.set(spec.name, before)
      return before.descriptor
    }
    const made = await make(spec)
    // Looking up a host takes its time, and the process that asked may have ended meanwhile.
    if (this.#wanted.get(generation) !== wanted) {
      binding().close(made.descriptor)
      throw new Error(`listener "${spec.name}": the generation is gone that asked for it`)
    }
    const replaced = wanted.get(spec.name)
    wanted.set(spec.name, made)
    if (replaced !== undefined) this.#closeUnused([replaced])
    return made.descriptor
  }

  /** The generation serves: what it did not ask for is closed. */
  commit(generation: number, reported: readonly Reported[]): void {
    const kept = this.#wanted.get(generation) ?? new Map<string, Listener>()
    for (const { name, cookie, port } of reported) {
      const listener = kept.get(name)
      if (listener !== undefined) Object.assign(listener, { cookie, port })
    }
    const before = this.#current
    this.#current = kept
    this.#wanted.delete(generation)
    this.#closeUnused(before.values())
  }

  /** The generation will never serve: what was made for it alone is closed. */
  abort(generation: number): void {
    const wanted = this.#wanted.get(generation)
    this.#wanted.delete(generation)
    if (wanted !== undefined) this.#closeUnused(wanted.values())
  }

  closeAll(): void {
    const all = [...this.#current.values(), ...[...this.#wanted.values()].flatMap((wanted) => [...wanted.values()])]
    all.push(...this.#fixed.values())
    this.#fixed.clear()
    this.#current = new Map()
    this.#wanted.clear()
    this.#closeUnused(all)
  }

  /** The names, and the addresses they are bound to. */
  list(): { name: string; address: string; cookie: string }[] {
    return [...new Set([...this.#fixed.values(), ...this.#current.values()])].map(({ spec, cookie, port }) => ({
      name: spec.name,
      address: addressOf(spec.host, port),
      cookie,
    }))
  }

  #closeUnused(listeners: Iterable<Listener>): void {
    const used = new Set<Listener>([
      ...this.#fixed.values(),
      ...this.#current.values(),
      ...[...this.#wanted.values()].flatMap((wanted) => [...wanted.values()]),
    ])
    for (const listener of new Set(listeners)) if (!used.has(listener)) binding().close(listener.descriptor)
  }
}

function sameAddress({ spec, port }: Listener, now: ListenerSpec): boolean {
  return spec.host === now.host && (now.port === port || now.port === 0)
}

/** A runtime may leave open which address or port it gets; it does not get another than it asks for. */
function mayServe({ spec, port }: Listener, asked: ListenerSpec): boolean {
  return (asked.port === 0 || asked.port === port) && (asked.host === null || asked.host === spec.host)
}

/** The port the kernel chose, or was told. */
function boundPort(descriptor: number): number | undefined {
  const inode = String(fstatSync(descriptor).ino)
  return tcpTable().find((row) => row.isListening && row.inode === inode)?.localPort
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
