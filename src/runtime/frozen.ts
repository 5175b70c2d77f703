/** The sessions whose app has been told of a freeze: each is told how it ended, once. */
import type { Socket } from 'node:net'
import { apart } from './apart.js'
import type { Kind } from './sessions.js'

interface Told {
  readonly kind: Kind
  readonly session: unknown
}

export class Frozen {
  readonly #told = new Map<Socket, Told>()

  /** Before capture. Throws what the app throws, to refuse. */
  freeze(kind: Kind, socket: Socket, session: unknown): void {
    const { onFreeze, onThaw } = kind.definition
    if (onFreeze === undefined && onThaw === undefined) return
    // Also when it throws half-way: what it has stopped is to go on.
    this.#told.set(socket, { kind, session })
    kind.definition.onFreeze?.(socket, session)
  }

  /** It stays. */
  thaw(socket: Socket): void {
    const told = this.#told.get(socket)
    if (!this.#told.delete(socket) || told === undefined) return
    // Closed meanwhile: it has heard of its end.
    if (!socket.destroyed) apart(() => told.kind.definition.onThaw?.(socket, told.session))
  }

  thawAll(): void {
    for (const socket of [...this.#told.keys()]) this.thaw(socket)
  }

  /** It is another process'. */
  moved(kind: Kind, socket: Socket, session: unknown): void {
    this.#told.delete(socket)
    if (kind.definition.onMoved !== undefined) apart(() => kind.definition.onMoved?.(socket, session))
  }
}
