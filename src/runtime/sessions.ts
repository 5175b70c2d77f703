/** The live sessions of this process, by kind: who is registered, under which id. The one owner of that knowledge. */
import type { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import type { Transport } from './transport.js'
import type { SessionDefinition, SessionKind } from './types.js'
import { checkVersions } from './versions.js'

export interface Entry {
  readonly id: number
  readonly session: unknown
}

export class Kind implements SessionKind<unknown> {
  readonly name: string
  readonly definition: SessionDefinition<unknown>
  readonly entries = new Map<Socket, Entry>()
  readonly #registry: Sessions
  /** One for all sockets. */
  readonly onClose: (this: Socket) => void

  constructor(name: string, definition: SessionDefinition<unknown>, registry: Sessions) {
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
    return this.#registry.remove(this, socket)
  }

  touch(socket: Socket): void {
    this.#registry.follower?.touched(socket)
  }

  hold(_socket: Socket, _reason: string, _until?: Promise<unknown>): () => void {
    return () => undefined
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
  follower: Follower | undefined
  readonly #transport: Transport
  #nextId = 1

  constructor(transport: Transport) {
    this.#transport = transport
  }

  declare(name: string, definition: SessionDefinition<unknown>): Kind {
    checkName('session kind', name, this.kinds)
    checkVersions(`session kind "${name}"`, definition)
    for (const method of ['capture', 'restore'] as const) {
      if (typeof definition[method] !== 'function')
        throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": ${method} must be a function`)
    }
    const { precopy } = definition
    if (precopy !== undefined && (typeof precopy.update !== 'function' || typeof precopy.forget !== 'function'))
      throw new HandoverError('HANDOVER_USAGE', `session kind "${name}": precopy needs the functions update and forget`)
    if (definition.independent !== undefined && (definition.independent !== true || precopy !== undefined))
      throw new HandoverError(
        'HANDOVER_USAGE',
        `session kind "${name}": independent is true or absent, and excludes precopy: such sessions are not copied before they move`,
      )
    const kind = new Kind(name, definition, this)
    this.kinds.set(name, kind)
    return kind
  }

  register(kind: Kind, socket: Socket, session: unknown): void {
    const refused = this.#transport.refuses(socket)
    if (refused !== undefined)
      throw new HandoverError('HANDOVER_NOT_MOVABLE', `session kind "${kind.name}" cannot take the socket: ${refused}`)
    const other = this.kindOf(socket)
    if (other !== undefined)
      throw new HandoverError('HANDOVER_USAGE', `the socket is a session of kind "${other.name}" already`)
    this.#transport.attach(socket)
    this.add(kind, socket, { id: this.#nextId, session })
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

  /** Smaller ids belong to sessions of another process that may still come. */
  startIdsAt(id: number): void {
    this.#nextId = Math.max(this.#nextId, id)
  }

  remove(kind: Kind, socket: Socket): boolean {
    const removed = kind.entries.delete(socket)
    if (removed) this.follower?.ended(socket)
    return removed
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
