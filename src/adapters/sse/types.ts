/** What an app sees of its event streams. */
import type { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import type { Migration } from '../../runtime/types.js'
import type { ServerEvent } from './format.js'
import type { Request, Response } from './response.js'

/** `closed`: by the app. `client`: the client has gone. `slow`: it took too little of what it was sent. */
export type CloseReason = 'closed' | 'client' | 'slow'

export interface StreamEvents {
  /** Once, in the process that serves the stream then. */
  close: [reason: CloseReason]
  /** After `send` has returned false: the client has taken everything. */
  drain: []
}

/** One client's stream. It is a session: it moves, with what the client has not taken yet. */
export interface EventStream<Session = unknown> extends EventEmitter<StreamEvents> {
  session: Session
  /** Of the last event that had one; before that, what the client said in Last-Event-ID. '' without. */
  readonly lastEventId: string
  /** False once it is closed, or has moved. */
  readonly isOpen: boolean
  /** Bytes that are sent and that the kernel has not taken. */
  readonly queuedBytes: number
  /** Why it cannot move (TLS, HTTP/2), else undefined: it is served to its end by this process, or to the drain's. */
  readonly stays: string | undefined
  /**
   * False when the client takes less than it is sent, as of a stream's write() (`'drain'` comes), and when the stream is not
   * open: nothing is sent then.
   * @throws HandoverError HANDOVER_USAGE when it is no event.
   */
  send(event: ServerEvent): boolean
  /** Sends what the client ignores. */
  comment(text?: string): boolean
  /** Ends the response, after what is queued; with keep-alive the connection serves the next request. */
  close(): void
}

export interface SseOptions<Session, State = Session> {
  /** Names the session kind. Default 'sse'. */
  readonly name?: string
  /** Version of what `capture` returns. Default 1. */
  readonly version?: number
  readonly upgrade?: Readonly<Record<number, Migration>>
  readonly downgrade?: Readonly<Record<number, Migration>>
  /** The session as plain data. Default: `stream.session` itself. */
  capture?(stream: EventStream<Session>): State
  /** The session from that. What it sends is sent at commit, or never. Default: the state itself. */
  restore?(stream: EventStream<Session>, state: State): Session
  /** Streams are restored while the predecessor serves them: see `Precopy`. */
  readonly precopy?: {
    update(stream: EventStream<Session>, state: State): void
    forget(stream: EventStream<Session>): void
    readonly changes?: 'compare' | 'touch'
  }
  /** Streams need not move at one instant: see `SessionDefinition.independent`. */
  readonly independent?: true
  /** Why this stream cannot move at this instant, or undefined: see `SessionDefinition.notNow`. Until it may, it stays; `touch` says that. */
  notNow?(stream: EventStream<Session>): string | undefined
  /** What becomes of a stream that says "not now" until the drain's deadline. Default 'close'. */
  readonly atDeadline?: 'close' | 'move'
  /** Serves the next requests of a connection whose stream has ended after it has moved. Without it the connection ends then. */
  readonly server?: Server
  /** A comment is sent when nothing else was for so long. Default 15,000; 0: never. */
  readonly heartbeatMs?: number
  /** Told to each new client: how long it waits before it reconnects. Default: the client's own choice. */
  readonly retryMs?: number
  /**
   * A client that leaves more than this untaken is cut off at the next event, and may come back with Last-Event-ID.
   * Default 1 MiB; it travels with the stream.
   */
  readonly maxQueuedBytes?: number
}

/** The open streams of one kind. */
export interface EventStreams<Session> extends Iterable<EventStream<Session>> {
  readonly size: number
  /**
   * Answers a request with an event stream. Headers the app has set are kept; `Content-Type`, `Cache-Control` and
   * `X-Accel-Buffering` are set where they are not.
   * @throws HandoverError HANDOVER_USAGE when the response is of a known length, or not the client's.
   */
  open(request: Request, response: Response, session: Session): EventStream<Session>
  /** Sends an event to all streams, or those chosen. Returns how many were open. */
  broadcast(event: ServerEvent, to?: (stream: EventStream<Session>) => boolean): number
  /** Says that a stream's session has changed (with `changes: 'touch'`), or that it may move now. */
  touch(stream: EventStream<Session>): void
  /** Says "not now" for a stream, as `SessionKind.hold` does. */
  hold(stream: EventStream<Session>, reason: string, until?: Promise<unknown>): () => void
}
