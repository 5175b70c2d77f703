/** Event streams (`text/event-stream`) that move: a response in progress goes on in the successor, event by event. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import type { Runtime, SessionDefinition, SessionKind } from '../runtime/types.js'
import { AdoptedOutput } from './sse/adopted.js'
import { formatEvent, type ServerEvent } from './sse/format.js'
import type { OutputEvents } from './sse/output.js'
import { fromRow, toRow } from './sse/record.js'
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
type Captured<State> = [row: unknown, state: State]

class Streams<Session, State> implements EventStreams<Session> {
  readonly #options: SseOptions<Session, State>
  readonly #kind: SessionKind<Stream<Session>>
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
    this.#kind = runtime.sessions<Stream<Session>, Captured<State>>(name, this.#definition())
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
    if (isMovable) this.#kind.open(socket, stream)
    try {
      sendHead(response)
    } catch (error) {
      if (isMovable) this.#kind.leave(socket)
      this.#sockets.delete(stream)
      throw error
    }
    stream.start(
      isMovable
        ? new MovableOutput(request as IncomingMessage, response as ServerResponse, events)
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

  #whyItStays({ httpVersionMajor, socket }: Request): string | undefined {
    if (httpVersionMajor !== 1) return 'an HTTP/2 session cannot leave its process'
    return 'encrypted' in socket && socket.encrypted ? 'a TLS session cannot leave its process' : undefined
  }

  #create(stays?: string): Stream<Session> {
    const { heartbeatMs = 0, maxQueuedBytes = 0 } = this.#options
    const stream: Stream<Session> = new Stream({ heartbeatMs, maxQueuedBytes }, () => this.#forget(stream), stays)
    return stream
  }

  #events(stream: Stream<Session>): OutputEvents {
    return {
      drained: () => void stream.emit('drain'),
      closed: () => stream.over(),
      movable: () => this.touch(stream),
    }
  }

  #forget(stream: Stream<Session>): void {
    const socket = this.#sockets.get(stream)
    this.#sockets.delete(stream)
    if (socket !== undefined && this.#kind.get(socket) === stream) this.#kind.leave(socket)
  }

  #definition(): SessionDefinition<Stream<Session>, Captured<State>> {
    const { version = 1, precopy, independent, server } = this.#options
    const {
      capture = ({ session }) => session as unknown as State,
      restore = (_stream, state) => state as unknown as Session,
    } = this.#options
    const definition: SessionDefinition<Stream<Session>, Captured<State>> = {
      version,
      ...stepsOf(this.#options),
      ...(independent === undefined ? {} : { independent }),
      capture: (_socket, stream) => [toRow(stream.record()), capture(stream)],
      restore: (socket, [row, state]) => {
        const record = fromRow(row)
        const stream = this.#create()
        stream.start(new AdoptedOutput(socket, record, server, this.#events(stream)), record.heartbeatAtMs)
        stream.lastEventId = record.lastEventId
        if (record.closing) stream.closeAgain()
        stream.session = restore(stream, state)
        this.#sockets.set(stream, socket)
        return stream
      },
      notNow: (_socket, stream) => stream.notNow,
      onMoved: (_socket, stream) => stream.moved(),
    }
    if (precopy === undefined) return definition
    const { update, forget, changes = 'compare' } = precopy
    return {
      ...definition,
      precopy: {
        changes,
        update: (_socket, stream, [row, state]) => {
          stream.follow(fromRow(row))
          update(stream, state)
        },
        forget: (_socket, stream) => {
          stream.moved()
          forget(stream)
        },
      },
    }
  }
}
