/** What a service sees of its runtime. The README is the contract; this is its letter. */
import type { Server, Socket } from 'node:net'
import type { Logger } from '../logger.js'

export interface JoinOptions {
  /** Where the runtime says what it does. Default: nowhere. */
  readonly logger?: Logger
  /** What this program calls itself in results and `handover status`. Default: name@version of the nearest package.json of the main script. */
  readonly release?: string
}

/** A step between two neighbouring versions of captured state. May change its argument; throws to refuse. */
export type Migration = (state: any) => unknown

interface Versioned {
  /** Version of what `capture` returns, a positive integer. */
  readonly version: number
  /** `{ 1: v1 => v2 }`: reads state of an older release, step by step up to `version`. */
  readonly upgrade?: Readonly<Record<number, Migration>>
  /** `{ 2: v2 => v1 }`: writes state for an older release, step by step down from `version`. A rollback needs it. */
  readonly downgrade?: Readonly<Record<number, Migration>>
}

export interface SessionDefinition<Session, State = any> extends Versioned {
  /** Returns the session as plain data. Synchronous: all sessions and states are captured at one instant. Throws to refuse. */
  capture(socket: Socket, session: Session): State
  /**
   * Rebuilds a session around its socket. The socket reads and writes nothing yet (`socket.connecting` is true): writes
   * are held until commit, `'connect'` tells when it is live. Synchronous. Throws to refuse the upgrade.
   */
  restore(socket: Socket, state: State): Session
  /** Lets sessions of this kind be restored while the predecessor still serves them: the pause no longer grows with them. */
  readonly precopy?: Precopy<Session, State>
  /**
   * Sessions of this kind need not move at one instant with the others: they follow after commit a few at a time, each still
   * only for its own batch, while both processes serve. Not with `precopy`.
   */
  readonly independent?: true
  /**
   * Why this session cannot move at this instant ("in a transaction"), or undefined. Asked in the freeze, of every session
   * (with `precopy` and `changes: 'touch'` when it is copied, and of those that were used since, touched, or held back):
   * cheap, without side effects. Such a session stays in the predecessor whatever the policy, and follows as soon as it may:
   * `touch` it then, else it is asked again at growing intervals (250 ms to 5 s).
   */
  notNow?(socket: Socket, session: Session): string | undefined
  /** What becomes of a session that says "not now" until the drain's deadline: closed politely (default), or moved all the same. */
  readonly atDeadline?: 'close' | 'move'
  /** Predecessor: it is about to be captured, and nothing happens to it until it has moved or thawed. Throws to refuse. */
  onFreeze?(socket: Socket, session: Session): void
  /** Predecessor: it was frozen, and stays after all. */
  onThaw?(socket: Socket, session: Session): void
  /** Predecessor: it is the successor's. The socket is closed here without an event: take the session out, and tell nobody. */
  onMoved?(socket: Socket, session: Session): void
  /** Successor: it is live from now on. Not called for sessions that were restored and then given back. */
  onAdopted?(socket: Socket, session: Session): void
}

/**
 * What concerns the whole process, for timers, locks and presence. Each is called exactly once in a transfer, in this order:
 * `onFreeze`, then either `onThaw` or `onMoved`; `onAdopted` in the successor. Sessions that follow later have only the hooks
 * of their kind.
 */
export interface Hooks {
  /** Predecessor: nothing is read or accepted from here on; states and sessions are captured next. Throws to refuse. */
  onFreeze?(): void
  /** Predecessor: the transfer has failed after `onFreeze`, and this process serves on. */
  onThaw?(): void
  /** Predecessor: what moves at once has moved. Before `retired` is aborted. */
  onMoved?(): void
  /** Successor, or the first process: it serves from now on. Before `ready` resolves. */
  onAdopted?(): void
}

/** How a session that was restored early follows what goes on in the predecessor until it is taken over. */
export interface Precopy<Session, State = any> {
  /** The session has changed since `restore`, or the last `update`. Like there, nothing it writes is sent before commit. */
  update(socket: Socket, session: Session, state: State): void
  /** The session has ended in the predecessor, which has done what is to be done, or stays there after all: take it out, and tell nobody. */
  forget(socket: Socket, session: Session): void
  /**
   * How a change is noticed. 'compare' (default): each session is captured again in the freeze, and compared by checksum.
   * 'touch': only what was `touch`ed, or has read or written; whoever changes another session's state must `touch` it.
   */
  readonly changes?: 'compare' | 'touch'
}

export interface StateDefinition<State = any> extends Versioned {
  capture(): State
  /** Called before any session is restored; with a kind that declares `precopy` once more when the state has changed since. */
  restore(state: State): void
}

/** The live sessions of one kind. */
export interface SessionKind<Session> extends Iterable<[Socket, Session]> {
  readonly name: string
  readonly size: number
  /**
   * Registers a plain TCP or unix socket as a session; from now on it moves. It leaves by itself at the socket's 'close'. One
   * that still connects says "not now" until it has.
   * @throws HandoverError HANDOVER_NOT_MOVABLE for TLS, destroyed or unconnected sockets.
   */
  open(socket: Socket, session: Session): Session
  /** The session of a socket, if it is registered here. */
  get(socket: Socket): Session | undefined
  /** Takes a socket out: it is then drained like any unregistered one. */
  leave(socket: Socket): boolean
  /** Says that the session's state has changed: for kinds that declare `changes: 'touch'`. Costs nothing between upgrades. */
  touch(socket: Socket): void
  /**
   * Says "not now" for a session until the returned function is called, or `until` has settled. Several holds add up.
   * @param reason a few words for the result: "in a transaction"
   */
  hold(socket: Socket, reason: string, until?: Promise<unknown>): () => void
}

interface AnyListenOptions {
  /** Names the listener: the same name gets the same listening socket in every generation. */
  readonly name: string
  /** Default 511, as in Node. */
  readonly backlog?: number
}

export interface ListenOnPort extends AnyListenOptions {
  /** 0 lets the kernel choose; the choice stays for all generations. */
  readonly port: number
  /** An address or a host name. Default: all addresses, IPv6 and IPv4. */
  readonly host?: string
  readonly path?: never
  readonly mode?: never
}

/** A unix socket. The supervisor makes its path, and unlinks it when no generation asks for it any more, or it stops. */
export interface ListenOnPath extends AnyListenOptions {
  /** At most 107 bytes, made absolute. A socket of a process that is gone is replaced; what else is there stays. */
  readonly path: string
  /**
   * Permissions of the path, 0 to 0o777; clients need to write. Given before anybody can connect, and again only when a later
   * release asks for others. Default: as the supervisor's umask has it.
   */
  readonly mode?: number
  readonly port?: never
  readonly host?: never
}

export type ListenOptions = ListenOnPort | ListenOnPath

/** The same in the next generation's process that takes over from this one. */
export interface Worker {
  /** From 0. */
  readonly index: number
  readonly count: number
}

export interface Runtime {
  /** True under a supervisor; false when it stands alone (everything works, nothing moves). */
  readonly supervised: boolean
  /** 1 for the first process a supervisor started, counting every start; 1 when it stands alone. */
  readonly generation: number
  /** Which of the processes that serve side by side this one is; one of one when it stands alone. */
  readonly worker: Worker
  /** Aborted at the instant this process has handed over: stop timers, leave the sessions alone. */
  readonly retired: AbortSignal
  /** Declares a session kind. Before `ready`. */
  sessions<Session, State = any>(name: string, definition: SessionDefinition<Session, State>): SessionKind<Session>
  /** Declares shared state. Before `ready`. */
  state<State = any>(name: string, definition: StateDefinition<State>): void
  /**
   * Listens on the socket of that name which the supervisor keeps. In a successor `server.address()` answers at once, and
   * connections are accepted from commit on. Sockets of the server that are not sessions are drained after an upgrade.
   * @throws HandoverError HANDOVER_LISTEN_REFUSED when the address cannot be had.
   */
  listen(server: Server, options: ListenOptions): Promise<void>
  /** Adds hooks. Before `ready`; all that were added are called, in order. */
  hooks(hooks: Hooks): void
  /** Says that this process can serve; resolves when it does. In a successor that is after commit; never, if the upgrade is aborted. */
  ready(): Promise<void>
}
