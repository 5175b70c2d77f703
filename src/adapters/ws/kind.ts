/** The session kind behind the WebSockets of one server. */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { WebSocket, WebSocketServer } from 'ws'
import { HandoverError } from '../../errors.js'
import { apart } from '../../runtime/apart.js'
import type { Runtime, SessionDefinition, SessionKind } from '../../runtime/types.js'
import { type Library, learn, tellEmpty } from '../../runtime/websocket/internals.js'
import { fromRow, toRow } from '../../runtime/websocket/record.js'
import { headOf, requestOf } from '../../runtime/websocket/request.js'
import { look, notNow, type Obstacle, prepare, rebuild, refresh, retire } from '../../runtime/websocket/socket.js'
import { Stillness } from '../../runtime/websocket/stillness.js'
import { keepOutputReadable } from '../../sys/node-internals.js'
import { Arrival, answerReplay, replay, type Session } from './session.js'
import type { WebSockets, WsDefinition, WsOptions } from './types.js'

/** Of a session: what the library has, and what the app has. */
type Captured = readonly [row: unknown[], app: unknown]
type Callback = (webSocket: WebSocket, request: IncomingMessage) => void

export class WsKind implements WebSockets {
  readonly name: string
  readonly #server: WebSocketServer
  readonly #options: WsOptions
  readonly #definition: WsDefinition | undefined
  readonly #library: Library | string
  readonly #kind: SessionKind<Session>
  readonly #sessions = new WeakMap<WebSocket, Session>()
  readonly #stillness = new Stillness((webSocket) => this.touch(webSocket))
  /** Restored, and not live yet; undefined once this process serves. */
  #arriving: Set<Session> | undefined = new Set()
  #isFreezing = false
  /** Those that were asked in this turn, and cannot move. */
  readonly #busy = new Set<Session>()

  constructor(runtime: Runtime, server: WebSocketServer, options: WsOptions | WsDefinition) {
    this.name = options.name ?? 'ws'
    this.#server = server
    this.#options = options
    this.#definition = 'capture' in options ? options : undefined
    this.#library = learn(server)
    this.#kind = runtime.sessions(this.name, this.#declare())
    const isFreezing = (is: boolean) => () => {
      this.#isFreezing = is
    }
    runtime.hooks({
      onFreeze: isFreezing(true),
      onThaw: isFreezing(false),
      onMoved: isFreezing(false),
      onAdopted: () => this.#allArrive(),
    })
    this.#install()
  }

  get size(): number {
    return this.#kind.size
  }

  has(webSocket: WebSocket): boolean {
    const session = this.#sessions.get(webSocket)
    return session !== undefined && this.#kind.get(session.socket) === session
  }

  isAdopted(webSocket: WebSocket): boolean {
    return this.#sessions.get(webSocket)?.isAdopted === true
  }

  touch(webSocket: WebSocket): void {
    const session = this.#sessions.get(webSocket)
    if (session !== undefined) this.#kind.touch(session.socket)
  }

  hold(webSocket: WebSocket, reason: string, until?: Promise<unknown>): () => void {
    const session = this.#sessions.get(webSocket)
    if (session === undefined)
      throw new HandoverError('HANDOVER_USAGE', `hold() needs a WebSocket of kind "${this.name}"`)
    return this.#kind.hold(session.socket, reason, until)
  }

  leave(webSocket: WebSocket): boolean {
    const session = this.#sessions.get(webSocket)
    return session !== undefined && this.#kind.leave(session.socket)
  }

  /** Every WebSocket of the server comes through handleUpgrade, whoever listens for the event. */
  #install(): void {
    const { handleUpgrade } = this.#server
    this.#server.handleUpgrade = (request, socket, head, callback) => {
      if (answerReplay(request, callback)) return
      if (!(socket instanceof Socket)) {
        handleUpgrade.call(this.#server, request, socket, head, callback)
        return
      }
      // Before the answer to the handshake is written.
      keepOutputReadable(socket)
      const begun = headOf(request)
      const open: Callback = (webSocket, sameRequest) => {
        this.#open({ webSocket, socket, head: begun, request, arrival: undefined, isArrived: true, isAdopted: false })
        callback(webSocket, sameRequest)
      }
      handleUpgrade.call(this.#server, request, socket, head, open)
    }
  }

  #open(opened: Omit<Session, 'binaryType' | 'isStale'>): void {
    const session: Session = { ...opened, binaryType: opened.webSocket.binaryType, isStale: false }
    try {
      this.#kind.open(session.socket, session)
    } catch (error) {
      // TLS, or gone already: it is drained.
      if (error instanceof HandoverError && error.code === 'HANDOVER_NOT_MOVABLE') return
      throw error
    }
    this.#sessions.set(session.webSocket, session)
    if (typeof this.#library !== 'string') prepare(session.webSocket)
  }

  #declare(): SessionDefinition<Session, Captured> {
    const options = this.#options
    const definition = this.#definition
    const of = (hook: ((webSocket: WebSocket) => void) | undefined) =>
      hook && ((_socket: Socket, { webSocket }: Session) => hook.call(options, webSocket))
    const onFreeze = of(options.onFreeze)
    const onThaw = of(options.onThaw)
    return {
      version: definition?.version ?? 1,
      ...steps(definition, 'upgrade'),
      ...steps(definition, 'downgrade'),
      capture: (_socket, session) => this.#capture(session),
      restore: (socket, captured) => this.#restore(socket, captured),
      ...this.#precopy(),
      ...(options.independent === undefined ? {} : { independent: options.independent }),
      notNow: (_socket, session) => this.#notNow(session) ?? options.notNow?.(session.webSocket),
      ...(options.atDeadline === undefined ? {} : { atDeadline: options.atDeadline }),
      ...(onFreeze === undefined ? {} : { onFreeze }),
      ...(onThaw === undefined ? {} : { onThaw }),
      onMoved: (_socket, { webSocket }) => this.#onMoved(webSocket),
      onAdopted: (_socket, session) => {
        // It has followed later.
        if (!session.isArrived) this.#arrive([session])
        options.onAdopted?.(session.webSocket)
      },
    }
  }

  /** Where the app has nothing, or says how it follows changes, WebSockets are restored while they are served. */
  #precopy(): Pick<SessionDefinition<Session, Captured>, 'precopy'> {
    const definition = this.#definition
    const { precopy } = definition ?? {}
    if ((definition !== undefined && precopy === undefined) || this.#options.independent) return {}
    return {
      precopy: {
        update: (_socket, session, [row, app]) => {
          const moved = fromRow(row)
          refresh(session.webSocket, moved)
          session.arrival?.update(moved)
          precopy?.update(session.webSocket, app)
        },
        forget: (_socket, session) => {
          this.#arriving?.delete(session)
          retire(session.webSocket)
          precopy?.forget(session.webSocket)
        },
        changes: definition === undefined ? 'touch' : (precopy?.changes ?? 'compare'),
      },
    }
  }

  #notNow(session: Session): string | undefined {
    if (typeof this.#library === 'string') return `this version of ws cannot be moved: it has no ${this.#library}`
    const { webSocket } = session
    const obstacle = obstacleOf(session)
    if (obstacle === undefined) {
      // What is set without a use of the socket, or was looked at too early.
      if (this.#isFreezing && (session.isStale || session.binaryType !== webSocket.binaryType))
        this.#kind.touch(session.socket)
      return undefined
    }
    this.#stillness.wait(webSocket, obstacle.isBrief)
    if (this.#busy.size === 0) queueMicrotask(() => this.#busy.clear())
    this.#busy.add(session)
    return obstacle.reason
  }

  #capture(session: Session): Captured {
    const { webSocket, head, request } = session
    const obstacle = obstacleOf(session)
    // To be moved at the deadline whatever it says: here are bytes nobody would ever see again.
    if (obstacle !== undefined && this.#busy.has(session))
      throw new HandoverError('HANDOVER_NOT_MOVABLE', `a WebSocket cannot move: ${obstacle.reason}`)
    session.isStale = obstacle !== undefined
    session.binaryType = webSocket.binaryType
    return [toRow({ head, ...look(webSocket, obstacle !== undefined) }), this.#definition?.capture(webSocket, request)]
  }

  #restore(socket: Socket, [row, app]: Captured): Session {
    if (typeof this.#library === 'string')
      throw new HandoverError(
        'HANDOVER_NOT_MOVABLE',
        `this version of ws cannot take a WebSocket over: it has no ${this.#library}`,
      )
    const moved = fromRow(row)
    const { head, binaryType } = moved
    const webSocket = rebuild(this.#server, this.#library, socket, moved)
    const arrival = new Arrival(webSocket)
    arrival.update(moved)
    const request = requestOf(socket, head)
    const session: Session = {
      webSocket,
      socket,
      head,
      request,
      arrival,
      isArrived: false,
      isAdopted: true,
      binaryType,
      isStale: false,
    }
    this.#sessions.set(webSocket, session)
    this.#definition?.restore(webSocket, app, request)
    this.#arriving?.add(session)
    return session
  }

  #allArrive(): void {
    const arrived = [...(this.#arriving ?? [])].filter(({ socket }) => !socket.destroyed)
    this.#arriving = undefined
    this.#arrive(arrived)
  }

  /** All of them are known before one is heard of: what the first says may be for all others. */
  #arrive(sessions: readonly Session[]): void {
    for (const session of sessions) {
      session.isArrived = true
      this.#track(session.webSocket)
    }
    for (const { arrival } of sessions) arrival?.send()
    for (const session of sessions) apart(() => this.#announce(session))
    if (this.#isReplayed) return
    for (const session of sessions) this.#receive(session)
  }

  get #isReplayed(): boolean {
    return this.#definition === undefined && this.#options.replay !== undefined
  }

  #announce(session: Session): void {
    const { webSocket, request, socket } = session
    if (this.#definition !== undefined) return
    const { replay: server } = this.#options
    if (server === undefined) {
      this.#server.emit('connection', webSocket, request)
      return
    }
    replay(server, session, () => {
      this.#receive(session)
      if (webSocket.isPaused !== true) socket.resume()
      this.#kind.touch(socket)
    })
    // Its route takes its time. The end, too, is not to come before what was received.
    if (session.arrival !== undefined) socket.pause()
  }

  #receive(session: Session): void {
    const { arrival } = session
    session.arrival = undefined
    if (arrival !== undefined) apart(() => arrival.receive())
  }

  /** As the server does it itself after a handshake. */
  #track(webSocket: WebSocket): void {
    const { clients } = this.#server
    if (clients === undefined) return
    clients.add(webSocket)
    webSocket.on('close', () => {
      clients.delete(webSocket)
      tellEmpty(this.#server)
    })
  }

  #onMoved(webSocket: WebSocket): void {
    this.#stillness.forget(webSocket)
    retire(webSocket)
    if (this.#server.clients?.delete(webSocket)) tellEmpty(this.#server)
    this.#options.onMoved?.(webSocket)
  }
}

const NOT_TAKEN: Obstacle = { reason: 'its route has not taken it yet', isBrief: false }

const obstacleOf = ({ arrival, isArrived, webSocket }: Session): Obstacle | undefined =>
  isArrived && arrival !== undefined ? NOT_TAKEN : notNow(webSocket)

/** Steps are of the app's part alone. */
function steps(definition: WsDefinition | undefined, which: 'upgrade' | 'downgrade') {
  const own = definition?.[which]
  if (own === undefined) return {}
  const wrapped = Object.entries(own).map(([version, step]) => [
    version,
    ([row, app]: Captured) => [row, step(app)] satisfies Captured,
  ])
  return { [which]: Object.fromEntries(wrapped) }
}

export const isServer = (server: unknown): server is WebSocketServer =>
  typeof server === 'object' && server !== null && typeof (server as WebSocketServer).handleUpgrade === 'function'
