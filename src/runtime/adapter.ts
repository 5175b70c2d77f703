/** What adapters may do with a runtime beyond what a service may. */
import type { Server } from 'node:net'
import { HandoverError } from '../errors.js'
import { JoinedRuntime } from './runtime.js'
import type { Runtime, SessionDefinition, SessionKind, StateDefinition } from './types.js'

export interface Host extends Runtime {
  /**
   * Declares a base kind: what a connection is as long as nobody has declared it to be more. `open` by another kind takes the
   * socket over, `leave` gives it back. Output of such a session cannot be read back: while some is unsent, `notNow` says so.
   */
  baseSessions<Session, State = unknown>(
    name: string,
    definition: SessionDefinition<Session, State>,
  ): SessionKind<Session>
  /** Shared state that a release which does not declare it, or cannot read it, does without: no upgrade is refused for it. */
  optionalState<State>(name: string, definition: StateDefinition<State>): void
  /** This server's connections move: at commit it stops accepting, and nothing else. Its own close(), which may close idle ones, is not called. */
  keepConnections(server: Server): void
  /** This server's connections cannot move, and are drained in the adapter's way. Before it listens. Includes `keepConnections`. */
  drainConnections(server: Server, drainer: Drainer): void
}

/** How the connections of a server are drained; it begins with `onMoved`. */
export interface Drainer {
  /** Why they cannot move, for the result: "a TLS session cannot leave its process". */
  readonly reason: string
  /** The deadline has come: ends politely what is open still. What has not closed a second later is destroyed. */
  end(): void
}

/** @throws HandoverError HANDOVER_USAGE when it is not what join() returned. */
export function hostOf(runtime: Runtime): Host {
  if (runtime instanceof JoinedRuntime) return runtime
  throw new HandoverError('HANDOVER_USAGE', 'an adapter needs the runtime that join() returned')
}
