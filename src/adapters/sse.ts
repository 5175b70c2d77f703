/** Event streams (`text/event-stream`) that move: a response in progress goes on in the successor, event by event. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import type { Runtime, SessionDefinition, SessionKind } from '../runtime/types.js'
import { keepOutputReadable } from '../sys/node-internals.js'
import { type AdoptedEvents, AdoptedOutput } from './sse/adopted.js'
import { formatEvent, type ServerEvent } from './sse/format.js'
import { allowsHalfOpen, serveNext } from './sse/reading.js'
import { fromRow, IDLE, toRow } from './sse/record.js'
import { MovableOutput, type Request, type Response, ResponseOutput, sendHead } from './sse/response.js'
import { Stream } from './sse/stream.js'
import type { EventStream, EventStreams, SseOptions } from './sse/types.js'
import { stepsOf } from './sse/versions.js'

export type { ServerEvent } from './sse/format.js'
export type { CloseReason, EventStream, EventStreams, SseOptions, StreamEvents } from './sse/types.js'

const HEARTBEAT_MS = 15_000
const MAX_QUEUED_BYTES = 1024 * 1024

/** Declares event streams as sessions of their own kind. Before `ready`. @throws HandoverError HANDOVER_USAGE */
export function sse<Session = unknown, State = Session>(
  runtime: Runtime,
  options: SseOptions<Session, State> = {},
): EventStreams<Session> {
  return new Streams(runtime, options)
}

/** The app's part of the state is captured beside the adapter's. */
type Captured<State> = [row: unknown, state: State | null]

/** A connection whose stream has ended here, and whose next request has not come. */
const idle = Symbol('idle')
type Served<Session> = Stream<Session> | typeof idle

class Streams<Session, State> implements EventStreams<Session> {
  readonly #options: SseOptions<Session, State>
  readonly #kind: SessionKind<Served<Session>>
  readonly #sockets = new Map<Stream<Session>, Socket | undefined>()

  constructor(runtime: Runtime, options: SseOptions<Session, State>) {
    const { name = 'sse', heartbeatMs = HEARTBEAT_MS, maxQueuedBytes = MAX_QUEUED_BYTES, retryMs } = options
    for (const [what, value] of Object.entries({ heartbeatMs, maxQueuedBytes, retryMs: retryMs ?? 0 }))
      if (typeof value !== 'number' || !(value >= 0))
        throw new HandoverError(
          'HANDOVER_USAGE',
          `event streams "${name}": ${what} is a number from 0 on, not ${value}`,
        )
    this.#options = { ...options, heartbeatMs, maxQueuedBytes }
    this.#kind = runtime.sessions<Served<Session>, Captured<State>>(name, this.#definition())
  }

  get size(): number {
    return this.#sockets.size
  }

  [Symbol.iterator](): Iterator<EventStream<Session>> {
    return this.#sockets.keys()
  }

  open(request: Request, response: Response, session: Session): EventStream<Session> {
    const socket = request.socket
    const isGone = response.destroyed || response.writableEnded || socket.destroyed
    const stays = isGone ? undefined : this.#whyItStays(request)
    const stream = this.#create(stays)
    stream.session = session
    stream.lastEventId = String(request.headers['last-event-id'] ?? '')
    this.#sockets.set(stream, stays === undefined ? socket : undefined)
    if (isGone) {
      process.nextTick(() => stream.over())
      return stream
    }
    const events = this.#events(stream)
    // Before the first byte: of what is written to a session's socket everything can be read back.
    const isMovable = stays === undefined && request.method !== 'HEAD'
    const startsAt = socket.bytesWritten
    if (isMovable) {
      this.#kind.open(socket, stream)
      // The kind it was of may have thought otherwise.
      keepOutputReadable(socket)
    }
    try {
      sendHead(response)
    } catch (error) {
      if (isMovable) this.#kind.leave(socket)
      this.#sockets.delete(stream)
      throw error
    }
    stream.start(
      isMovable
        ? new MovableOutput(request as IncomingMessage, response as ServerResponse, startsAt, events)
        : new ResponseOutput(response, events, stays),
    )
    const { retryMs } = this.#options
    if (request.method === 'HEAD') stream.close()
    else if (retryMs !== undefined) stream.send({ retryMs })
    return stream
  }

  broadcast(event: ServerEvent, to: (stream: EventStream<Session>) => boolean = () => true): number {
    const bytes = formatEvent(event)
    let count = 0
    for (const stream of this.#sockets.keys()) {
      if (!stream.isOpen || !to(stream)) continue
      stream.write(bytes, event.id)
      count++
    }
    return count
  }

  touch(stream: EventStream<Session>): void {
    const socket = this.#sockets.get(stream as Stream<Session>)
    if (socket !== undefined) this.#kind.touch(socket)
  }

  hold(stream: EventStream<Session>, reason: string, until?: Promise<unknown>): () => void {
    const socket = this.#sockets.get(stream as Stream<Session>)
    return socket === undefined ? () => undefined : this.#kind.hold(socket, reason, until)
  }

  #whyItStays({ httpVersionMajor, socket }: Request): string | undefined {
    if (httpVersionMajor !== 1) return 'an HTTP/2 session cannot leave its process'
    return 'encrypted' in socket && socket.encrypted ? 'a TLS session cannot leave its process' : undefined
  }

  #create(stays?: string): Stream<Session> {
    const { heartbeatMs = 0, maxQueuedBytes = 0 } = this.#options
    const stream: Stream<Session> = new Stream({ heartbeatMs, maxQueuedBytes }, () => this.#forget(stream), stays)
    return stream
  }

  #events(stream: Stream<Session>): AdoptedEvents {
    return {
      drained: () => void stream.emit('drain'),
      closed: () => stream.over(),
      changed: () => this.touch(stream),
      idle: (socket) => this.#serveNext(socket),
    }
  }

  #serveNext(socket: Socket): void {
    const { server } = this.#options
    if (server === undefined) {
      socket.end()
      return
    }
    socket.setTimeout(server.keepAliveTimeout)
    this.#kind.open(socket, idle)
    serveNext(socket, server, () => this.#kind.leave(socket))
  }

  #forget(stream: Stream<Session>): void {
    const socket = this.#sockets.get(stream)
    this.#sockets.delete(stream)
    if (socket !== undefined && this.#kind.get(socket) === stream) this.#kind.leave(socket)
  }

  #capture(stream: Stream<Session>): State {
    const { capture } = this.#options
    return capture === undefined ? (stream.session as unknown as State) : capture(stream)
  }

  #restore(socket: Socket, [row, state]: Captured<State>): Served<Session> {
    const { restore, server } = this.#options
    if (row === IDLE) {
      if (server === undefined) socket.end()
      else serveNext(socket, server, () => this.#kind.leave(socket))
      return idle
    }
    const record = fromRow(row)
    const stream = this.#create()
    stream.start(new AdoptedOutput(socket, record, allowsHalfOpen(server), this.#events(stream)), record.heartbeatAtMs)
    stream.lastEventId = record.lastEventId
    if (record.closing) stream.closeAgain()
    stream.session = restore === undefined ? (state as unknown as Session) : restore(stream, state as State)
    this.#sockets.set(stream, socket)
    return stream
  }

  #definition(): SessionDefinition<Served<Session>, Captured<State>> {
    const { version = 1, precopy, independent, atDeadline } = this.#options
    const definition: SessionDefinition<Served<Session>, Captured<State>> = {
      version,
      ...stepsOf(this.#options),
      ...(independent === undefined ? {} : { independent }),
      capture: (_socket, one) => (one === idle ? [IDLE, null] : [toRow(one.record()), this.#capture(one)]),
      restore: (socket, captured) => this.#restore(socket, captured),
      ...(atDeadline === undefined ? {} : { atDeadline }),
      notNow: (_socket, one) => (one === idle ? undefined : (one.notNow ?? this.#options.notNow?.(one))),
      onMoved: (_socket, one) => {
        if (one !== idle) one.moved()
      },
    }
    if (precopy === undefined) return definition
    const { update, forget, changes = 'compare' } = precopy
    return {
      ...definition,
      precopy: {
        changes,
        update: (_socket, one, [row, state]) => {
          if (one === idle) return
          one.follow(fromRow(row))
          update(one, state as State)
        },
        forget: (_socket, one) => {
          if (one === idle) return
          one.moved()
          forget(one)
        },
      },
    }
  }
}
