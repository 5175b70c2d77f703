/** What the runtime needs of a kind of socket. `src/adapters` has one for each; none imports another. */
import type { Socket } from 'node:net'
import type { Parked, Parking } from '../sys/parking.js'

export interface Transport {
  /** Why sockets cannot be moved on this Node at all, or undefined. */
  unsupported(): string | undefined
  /** Why this socket cannot be a session, or undefined. */
  refuses(socket: Socket): string | undefined
  /** The socket is a session from now on. */
  attach(socket: Socket): void
  /** While everything is served: the descriptor, and as plain data what a rebuilt socket needs, without what is buffered. */
  describe(socket: Socket): Description
  /**
   * Calls `onUsed` before each use of a socket that may change its description, until the returned function is called: for
   * any socket of the process, so that none has to be prepared. Between upgrades nothing is followed.
   */
  follow(onUsed: (socket: Socket) => void): () => void
  /** True while a socket changes without being used: bytes wait in this process, or its FIN is still to go out. */
  isUnsettled(socket: Socket): boolean
  /** Called once for each freeze; the event loop stands still from here to `abandon`. */
  beginFreeze(): Freeze
  /** Rebuilds a socket, held still and parked; wanted, when it has bytes for the app or the client. Owns the descriptor in every case; throws when `described` does not check out. */
  adopt(descriptor: number, described: unknown, parking: Parking): Adopted
}

export interface Description {
  readonly descriptor: number
  readonly described: unknown
  /** Bytes it holds that are buffered; bounds the size of a batch. */
  readonly bytes: number
}

export interface Freeze {
  /** As `Transport.describe`, with everything that is buffered. Takes nothing away. Throws a reason. */
  describe(socket: Socket): Description
  /** The socket has been taken over: closes this process' copy without a FIN and without an event. Must not throw. */
  abandon(socket: Socket): void
}

export interface Adopted extends Parked {
  readonly socket: Socket
  /** It is likely to be used right after commit: does what takes time, and reads nothing. */
  attach(): void
  /** Called once, before the app gets the socket: what is unsent is first in line, whatever `restore` may write. */
  prepare(): void
  /** The socket has changed in the predecessor. `restored`: the app has it, and `prepare` has been called. Throws when it does not check out. */
  update(described: unknown, restored: boolean): void
  /** Begins to read and write, if it has not yet. Errors of the app's handlers are thrown in a tick of their own. */
  release(): void
  /** Abort: closes the copy, without a byte read or written. */
  discard(): void
}
