/** The live sessions of this process, by kind: who is registered, under which id. The one owner of that knowledge. */
import type { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import { askNotNow, Holds } from './holds.js'
import type { Transport } from './transport.js'
import type { SessionDefinition, SessionKind } from './types.js'
import { checkVersions } from './versions.js'

export interface Entry {
  readonly id: number
  readonly session: unknown
  /** What the socket is again when this session leaves it. */
  readonly base?: { readonly kind: Kind; readonly session: unknown }
}

/** Sessions a predecessor may open after commit: more than it has connections left. */
const LATE_IDS = 2 ** 20

export class Kind implements SessionKind<unknown> {
  readonly name: string
  readonly definition: SessionDefinition<unknown>
  readonly entries = new Map<Socket, Entry>()
  /** What a connection is as long as no other kind has opened it. */
  readonly isBase: boolean
  readonly #registry: Sessions
  /** One for all sockets. */
  readonly onClose: (this: Socket) => void

  constructor(name: string, definition: SessionDefinition<unknown>, registry: Sessions, isBase: boolean) {
    this.isBase = isBase
    this.name = name
    this.definition = definition
    this.#registry = registry
    const kind = this
    this.onClose = function (this: Socket) {
      registry.remove(kind, this)
    }
  }

  get size(): number {
    return this.entries.size
  }

  open(socket: Socket, session: unknown): unknown {
    this.#registry.register(this, socket, session)
    return session
  }

  get(socket: Socket): unknown {
    return this.entries.get(socket)?.session
  }

  leave(socket: Socket): boolean {
    return this.#registry.leave(this, socket)
  }

  touch(socket: Socket): void {
    this.#registry.follower?.touched(socket)
  }

  hold(socket: Socket, reason: string, until?: Promise<unknown>): () => void {
    if (!this.entries.has(socket))
      throw new HandoverError(
        'HANDOVER_USAGE',
        `the socket is no session of kind "${this.name}": open it before hold()`,
      )
    return this.#registry.holds.add(socket, reason, until)
  }

  /** Whether sessions of this kind have to be asked in a freeze. */
  get mayStay(): boolean {
    return this.definition.notNow !== undefined || !this.#registry.holds.isEmpty
  }

  /** Why it cannot move at this instant. */
  notNow(socket: Socket, session: unknown): string | undefined {
    const { definition } = this
    return (
      this.#registry.holds.of(socket) ??
      (definition.notNow === undefined ? undefined : askNotNow(() => definition.notNow?.(socket, session)))
    )
  }

  *[Symbol.iterator](): Iterator<[Socket, unknown]> {
    for (const [socket, { session }] of this.entries) yield [socket, session]
  }
}

/** Hears what becomes of sessions while a copy of them is under way. */
export interface Follower {
  opened(kind: Kind, socket: Socket, entry: Entry): void
  touched(socket: Socket): void
  ended(socket: Socket): void
}

export class Sessions {
  readonly kinds = new Map<string, Kind>()
  readonly holds = new Holds((socket) => this.follower?.touched(socket))
  follower: Follower | undefined
  readonly #transport: Transport
  #nextId = 1

  constructor(transport: Transport) {
    this.#transport = transport
  }

  declare(name: string, definition: SessionDefinition<unknown>, isBase = false): Kind {
    checkName('session kind', name, this.kinds)
    checkVersions(`session kind "${name}"`, definition)
    for (const method of ['capture', 'restore'] as const) {
      if (typeof definition[method] !== 'function')
        throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": ${method} must be a function`)
    }
    for (const method of ['notNow', 'onFreeze', 'onThaw', 'onMoved', 'onAdopted'] as const) {
      if (definition[method] !== undefined && typeof definition[method] !== 'function')
        throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": ${method} must be a function`)
    }
    if (!['close', 'move', undefined].includes(definition.atDeadline))
      throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": atDeadline is 'close' or 'move'`)
    const { precopy } = definition
    if (precopy !== undefined && (typeof precopy.update !== 'function' || typeof precopy.forget !== 'function'))
      throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": precopy needs the functions update and forget`)
    if (definition.independent !== undefined && (definition.independent !== true || precopy !== undefined))
      throw new HandoverError(
        'HANDOVER_USAGE',
        `session kind "${name}": independent is true or absent, and excludes precopy: such sessions are not copied before they move`,
      )
    const kind = new Kind(name, definition, this, isBase)
    this.kinds.set(name, kind)
    return kind
  }

  register(kind: Kind, socket: Socket, session: unknown): void {
    const refused = this.#transport.refuses(socket)
    if (refused !== undefined)
      throw new HandoverError('HANDOVER_NOT_MOVABLE', `session kind "${kind.name}" cannot take the socket: ${refused}`)
    const other = this.kindOf(socket)
    if (other !== undefined && (!other.isBase || kind.isBase))
      throw new HandoverError('HANDOVER_USAGE', `the socket is a session of kind "${other.name}" already`)
    const base = other && { kind: other, session: other.entries.get(socket)?.session }
    if (base !== undefined) this.remove(base.kind, socket)
    // What costs the socket anything is for who has opened it to move at any instant.
    if (!kind.isBase) this.#transport.attach(socket)
    // A new id: the copy under way may know the old one, and its end and this beginning are two things.
    this.add(kind, socket, { id: this.#nextId, session, ...(base === undefined ? {} : { base }) })
  }

  /** By its app, while the socket goes on. */
  leave(kind: Kind, socket: Socket): boolean {
    const base = kind.entries.get(socket)?.base
    const left = this.remove(kind, socket)
    if (left && base !== undefined && !socket.destroyed)
      this.add(base.kind, socket, { id: this.#nextId, session: base.session })
    return left
  }

  /** Adds what `register` or an adoption has checked. Ids are kept over generations, so that one names a session for good. */
  add(kind: Kind, socket: Socket, entry: Entry): void {
    this.#nextId = Math.max(this.#nextId, entry.id + 1)
    kind.entries.set(socket, entry)
    socket.on('close', kind.onClose)
    this.follower?.opened(kind, socket, entry)
  }

  get nextId(): number {
    return this.#nextId
  }

  /** For a successor: what is opened here until the drain is over has ids below. */
  get idsAfterCommit(): number {
    return this.#nextId + LATE_IDS
  }

  /** Smaller ids belong to sessions of another process that may still come. */
  startIdsAt(id: number): void {
    this.#nextId = Math.max(this.#nextId, id)
  }

  remove(kind: Kind, socket: Socket): boolean {
    const removed = kind.entries.delete(socket)
    if (!removed) return false
    socket.removeListener('close', kind.onClose)
    this.holds.forget(socket)
    this.follower?.ended(socket)
    return true
  }

  kindOf(socket: Socket): Kind | undefined {
    for (const kind of this.kinds.values()) if (kind.entries.has(socket)) return kind
    return undefined
  }
}

export function checkName(what: string, name: unknown, taken: { has(name: string): boolean }): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 128) {
    throw new HandoverError('HANDOVER_USAGE', `a ${what} needs a name of 1 to 128 characters`)
  }
  if (taken.has(name)) throw new HandoverError('HANDOVER_USAGE', `${what} "${name}" is declared already`)
}
