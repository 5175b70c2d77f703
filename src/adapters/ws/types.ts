/** What an app says about its WebSockets, and what it gets. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Migration } from '../../runtime/types.js'

/** Without a state of its own: the app's handlers of 'connection' are all there is to it. */
export interface WsOptions {
  /** Of the session kind. Default 'ws'. A program with several WebSocket servers gives each its own. */
  readonly name?: string
  /**
   * The HTTP server whose 'upgrade' event leads to a route (`fastify.server`). In the successor the upgrade request is emitted
   * there again, and when it comes to `handleUpgrade` of the WebSocket server, the moved WebSocket is what that gives. Without
   * it, and without `restore`, the WebSocket server emits 'connection'.
   */
  readonly replay?: EventEmitter
  /** Why this WebSocket cannot move at this instant, or undefined: see `notNow` of a session kind. */
  notNow?(webSocket: WebSocket): string | undefined
  readonly atDeadline?: 'close' | 'move'
  /** WebSockets have nothing to do with each other, and may follow one by one. */
  readonly independent?: true
  /** The hooks of a session kind. */
  onFreeze?(webSocket: WebSocket): void
  onThaw?(webSocket: WebSocket): void
  onMoved?(webSocket: WebSocket): void
  onAdopted?(webSocket: WebSocket): void
}

export interface WsDefinition<State = unknown> extends WsOptions {
  /** Of what `capture` returns. Version 1 is what a release writes that has no definition: `undefined`. */
  readonly version: number
  readonly upgrade?: Readonly<Record<number, Migration>>
  readonly downgrade?: Readonly<Record<number, Migration>>
  /** The app's state of this WebSocket, as plain data. Synchronous; throws to refuse. */
  capture(webSocket: WebSocket, request: IncomingMessage): State
  /**
   * Attaches the app to a WebSocket that comes from another process. It is open, and sends nothing before commit; nothing it
   * has received is emitted before that. Synchronous; throws to refuse.
   */
  restore(webSocket: WebSocket, state: State, request: IncomingMessage): void
  /** Lets WebSockets be restored while the predecessor still serves them: see `precopy` of a session kind. */
  readonly precopy?: {
    update(webSocket: WebSocket, state: State): void
    forget(webSocket: WebSocket): void
    readonly changes?: 'compare' | 'touch'
  }
}

/** The live WebSockets of one server. */
export interface WebSockets {
  readonly name: string
  readonly size: number
  has(webSocket: WebSocket): boolean
  /** It began in another process: it needs no greeting. */
  isAdopted(webSocket: WebSocket): boolean
  /** As of a session kind. */
  touch(webSocket: WebSocket): void
  hold(webSocket: WebSocket, reason: string, until?: Promise<unknown>): () => void
  /** It does not move: it is drained. */
  leave(webSocket: WebSocket): boolean
}
