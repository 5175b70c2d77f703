/** The clients of a server as sessions and shared state, and what becomes of them in a transfer. */
import { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Hooks, Precopy, SessionDefinition, SessionKind, StateDefinition } from '../../runtime/types.js'
import type { Library as WebSocketLibrary } from '../../runtime/websocket/internals.js'
import { fromRow, type Moved, toRow } from '../../runtime/websocket/record.js'
import { headOf } from '../../runtime/websocket/request.js'
import { sendFirst } from '../../runtime/websocket/sender.js'
import { look, notNow, rebuild, refresh, retire } from '../../runtime/websocket/socket.js'
import { Stillness } from '../../runtime/websocket/stillness.js'
import { sealState } from '../../wire/envelope.js'
import type { Bridge } from './bridge.js'
import { type Built, buildClient, engineRequest, type Gives, goLive, pollingTransport, takeOut } from './build.js'
import type { IoSocket, Library, Transport } from './internals.js'
import type { Members, Seat } from './members.js'
import { checkPolling, checkWebSocket, type WebSocketState } from './record.js'
import { type Looks, takeClient, takePolling } from './take.js'

/** What the app says about the data of a socket. */
export interface Data {
  capture(socket: IoSocket): unknown
  restore(socket: IoSocket, data: unknown): void
  /** Nothing but the socket knows of it: a client may be restored while it is still served, and forgotten. */
  readonly isPlain: boolean
}

/** A WebSocket that was restored, and is not live yet. */
interface Restored {
  /** Undefined while it is only tried. */
  readonly built: Built | undefined
  /** Frames that wait in it. */
  readonly waiting: Moved['waiting']
}

/** How often a poll is answered while a WebSocket is tried, so that the client comes to an end with polling (engine.io lib/socket.ts). */
const NUDGE_MS = 100

export class Clients {
  readonly #library: Library
  readonly #webSockets: WebSocketLibrary
  readonly #members: Members
  readonly #bridge: Bridge
  readonly #data: Data
  readonly #isEarly: boolean
  readonly #stillness: Stillness
  readonly #restored = new WeakMap<Socket, Restored>()
  /** WebSockets that polling clients are trying: the client may be restored once more. */
  readonly #tried = new Map<string, Transport>()
  #polling: Built[] = []

  /** @param onStill called with a WebSocket that said "not now", and may move now. */
  constructor(
    library: Library,
    webSockets: WebSocketLibrary,
    members: Members,
    bridge: Bridge,
    data: Data,
    onStill: (socket: Socket) => void,
  ) {
    this.#stillness = new Stillness((webSocket) => {
      const socket = members.connectionOf(webSocket)
      if (socket !== undefined) onStill(socket)
    })
    this.#library = library
    this.#webSockets = webSockets
    this.#members = members
    this.#bridge = bridge
    this.#data = data
    // What joins rooms for other processes to know would join them twice.
    this.#isEarly = data.isPlain && library.localAdapters.includes(library.io.of('/').adapter.constructor)
  }

  get sessions(): Pick<
    SessionDefinition<Seat, WebSocketState>,
    'capture' | 'restore' | 'notNow' | 'onMoved' | 'onAdopted' | 'precopy'
  > {
    return {
      notNow: (_socket, { webSocket }) => this.#notNow(webSocket),
      capture: (_socket, seat) => this.#capture(seat),
      restore: (socket, state) => this.#restore(socket, state),
      onMoved: (_socket, seat) => this.#onMoved(seat),
      onAdopted: (socket, seat) => this.#onAdopted(socket, seat),
      ...(this.#isEarly ? { precopy: this.#precopy } : {}),
    }
  }

  /** What changes without a use of the connection is looked for in the freeze: see `touchChanged`. */
  get #precopy(): Precopy<Seat, WebSocketState> {
    return {
      changes: 'touch',
      update: (socket, seat, state) => {
        this.#undo(socket, seat)
        this.#give(socket, seat, checkWebSocket(state))
      },
      forget: (socket, seat) => {
        this.#undo(socket, seat)
        retire(seat.webSocket)
      },
    }
  }

  /** Predecessor, in the freeze: data and rooms may have changed by what others did. */
  touchChanged(kind: SessionKind<Seat>): void {
    if (!this.#isEarly) return
    for (const [socket, seat] of kind) if (seat.isStale || seat.looked !== this.#lookAt(seat)) kind.touch(socket)
  }

  get state(): Pick<StateDefinition, 'capture' | 'restore'> {
    return {
      capture: () => takePolling(this.#library, this.#members.polling(), this.#looks),
      restore: (state) => this.#restorePolling(state),
    }
  }

  get hooks(): Hooks {
    return {
      onAdopted: () => {
        this.#tried.clear()
        for (const built of this.#polling.splice(0)) goLive(built)
      },
    }
  }

  /** Predecessor, after commit: those that have no connection to move with. */
  handOverPolling(): void {
    for (const client of [...this.#members.polling()]) {
      takeOut(this.#library, client)
      this.#bridge.movedPolling(client)
    }
  }

  get #looks(): Looks {
    return {
      capture: (socket) => this.#data.capture(socket),
      originOf: (callback) => this.#bridge.originOf(callback),
      waits: (socket) => this.#bridge.waitsFor(socket),
      heard: this.#bridge.heard,
      heardBy: this.#bridge.origin,
    }
  }

  get #gives(): Gives {
    return {
      restore: (socket, data) => this.#data.restore(socket, data),
      relay: (origin, socket, id) => this.#bridge.relay(origin, socket, id),
      watch: (origin, socket) => this.#bridge.watch(origin, socket),
    }
  }

  #notNow(webSocket: WebSocket): string | undefined {
    const obstacle = notNow(webSocket)
    if (obstacle !== undefined) this.#stillness.wait(webSocket, obstacle.isBrief)
    return obstacle?.reason
  }

  #capture(seat: Seat): WebSocketState {
    const { sid, webSocket, request } = seat
    const client = this.#members.clientOn(seat)
    if (this.#isEarly) seat.looked = this.#lookAt(seat)
    seat.isStale = notNow(webSocket) !== undefined
    return {
      sid,
      webSocket: toRow({ head: headOf(request), ...look(webSocket, seat.isStale) }),
      client: client === undefined ? null : takeClient(this.#library, client, this.#looks),
    }
  }

  /** A number that tells whether anything has changed that no use of the connection tells of. */
  #lookAt(seat: Seat): number {
    const sockets = this.#members.clientOn(seat)?.sockets.values() ?? []
    const waits = (socket: IoSocket) => this.#bridge.waitsFor(socket)
    const seen = [...sockets].map((socket) => [[...socket.rooms], this.#data.capture(socket), waits(socket)])
    return sealState(seen).checksum
  }

  #restore(socket: Socket, captured: WebSocketState): Seat {
    const state = checkWebSocket(captured)
    const { engine } = this.#library
    if (engine.ws === undefined) throw new Error('this release has no WebSocket transport')
    const moved = fromRow(state.webSocket)
    const webSocket = rebuild(engine.ws, this.#webSockets, socket, moved)
    const request = engineRequest(moved.head, 4, socket)
    request.websocket = webSocket
    this.#members.know(webSocket, socket)
    const transport = engine.createTransport('websocket', request)
    const seat: Seat = { sid: state.sid, transport, webSocket, request, looked: 0, isStale: false }
    this.#seat(socket, seat, state, moved)
    return seat
  }

  #give(socket: Socket, seat: Seat, state: WebSocketState): void {
    const moved = fromRow(state.webSocket)
    refresh(seat.webSocket, moved)
    seat.transport = this.#library.engine.createTransport('websocket', seat.request)
    this.#seat(socket, seat, state, moved)
  }

  #seat(socket: Socket, { sid, transport }: Seat, { client: state }: WebSocketState, moved: Moved): void {
    transport.perMessageDeflate = this.#library.engine.opts.perMessageDeflate
    let built: Built | undefined
    if (state === null) {
      this.#tried.set(sid, transport)
      this.#tryAgain(sid, transport)
    } else {
      built = buildClient(this.#library, state, transport, socket, this.#gives)
      this.#bridge.catchUp(built.client, state.heardBy, state.heard)
    }
    this.#restored.set(socket, { built, waiting: moved.waiting })
  }

  /** What was made of an earlier state. The connection stays, and the WebSocket. */
  #undo(socket: Socket, { sid, transport, webSocket }: Seat): void {
    const { built } = this.#restored.get(socket) ?? {}
    this.#restored.delete(socket)
    if (built !== undefined) takeOut(this.#library, built.client)
    else this.#leave(sid, transport)
    transport.removeAllListeners()
    webSocket.removeAllListeners()
  }

  /** Whoever tries it here gives it up. */
  #leave(sid: string, transport: Transport): void {
    if (this.#tried.get(sid) === transport) this.#tried.delete(sid)
    giveUp(transport)
  }

  /** The client tries a WebSocket, and may be waiting for the end of its poll. */
  #tryAgain(sid: string, transport: Transport): void {
    const conn = this.#library.engine.clients[sid]
    // It may still come: the clients are told once more in the freeze.
    if (conn === undefined || conn.upgrading || conn.upgraded) return
    conn._maybeUpgrade(transport)
    const timer = setInterval(() => {
      if (!conn.upgrading) clearInterval(timer)
      else if (conn.transport.name === 'polling' && conn.transport.writable) conn.transport.send([{ type: 'noop' }])
    }, NUDGE_MS)
    timer.unref()
  }

  #onMoved({ sid, transport, webSocket, ...seat }: Seat): void {
    const client = this.#members.clientOn({ sid, transport, webSocket, ...seat })
    this.#stillness.forget(webSocket)
    retire(webSocket)
    if (client === undefined) {
      this.#leave(sid, transport)
      return
    }
    takeOut(this.#library, client)
    this.#bridge.moved(client)
  }

  #onAdopted(socket: Socket, { sid, transport, webSocket }: Seat): void {
    const restored = this.#restored.get(socket)
    if (restored === undefined) return
    this.#restored.delete(socket)
    sendFirst(webSocket, restored.waiting)
    // A predecessor that had given the client away already has not read on.
    if (webSocket.isPaused) webSocket.resume()
    if (restored.built === undefined) {
      this.#tried.delete(sid)
      // Its client has gone.
      if (this.#library.engine.clients[sid]?.upgrading !== true) transport.close()
    } else {
      transport.writable = true
      goLive(restored.built)
    }
  }

  /** May come twice: what comes later is what counts. */
  #restorePolling(captured: unknown): void {
    const { clients, ackIds, recoverable } = checkPolling(captured)
    const { io } = this.#library
    for (const { client } of this.#polling.splice(0)) takeOut(this.#library, client)
    for (const state of clients) {
      const transport = pollingTransport(this.#library, state)
      this.#polling.push(buildClient(this.#library, state, transport, new Socket(), this.#gives))
    }
    for (const [sid, tried] of this.#tried) {
      giveUp(tried)
      tried.removeAllListeners()
      this.#tryAgain(sid, tried)
    }
    for (const [name, namespace] of io._nsps) namespace._ids = Math.max(namespace._ids, ackIds[name] ?? 0)
    for (const [name, { sessions, packets }] of Object.entries(recoverable)) {
      const { sessions: known, packets: kept } = io._nsps.get(name)?.adapter ?? {}
      for (const [id, session] of sessions) known?.set(id, session)
      kept?.splice(0, kept.length, ...packets)
    }
  }
}

/** Whoever has begun to try a transport stops, and leaves it as it is. */
function giveUp(transport: Transport): void {
  const { close } = transport
  transport.close = () => undefined
  transport.emit('close')
  transport.close = close
}
