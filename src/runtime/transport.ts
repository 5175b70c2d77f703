/** What the runtime needs of a kind of socket. `src/adapters` has one for each; none imports another. */
import type { Socket } from 'node:net'

export interface Transport {
  /** Why sockets cannot be moved on this Node at all, or undefined. */
  unsupported(): string | undefined
  /** Why this socket cannot be a session, or undefined. */
  refuses(socket: Socket): string | undefined
  /** The socket is a session from now on. */
  attach(socket: Socket): void
  /** Called once for each freeze, before the first `describe`; the event loop stands still from here to `abandon`. */
  beginFreeze(): Freeze
  /** Rebuilds a socket, held still. Owns the descriptor in every case; throws when `described` does not check out. */
  adopt(descriptor: number, described: unknown): Adopted
}

export interface Freeze {
  /** The descriptor and what else the successor needs, as plain data. Takes nothing away. Throws a reason. */
  describe(socket: Socket): { descriptor: number; described: unknown }
  /** The socket has been taken over: closes this process' copy without a FIN and without an event. Must not throw. */
  abandon(socket: Socket): void
}

export interface Adopted {
  readonly socket: Socket
  /** Commit: begins to read and write. Errors of the app's handlers are thrown in a tick of their own. */
  release(): void
  /** Abort: closes the copy, without a byte read or written. */
  discard(): void
}
