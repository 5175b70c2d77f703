/** The clients of a server as sessions and shared state, and what becomes of them in a transfer. */
import { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Hooks, SessionDefinition, StateDefinition } from '../../runtime/types.js'
import type { Library as WebSocketLibrary } from '../../runtime/websocket/internals.js'
import { fromRow, toRow } from '../../runtime/websocket/record.js'
import { headOf } from '../../runtime/websocket/request.js'
import { sendFirst } from '../../runtime/websocket/sender.js'
import { look, notNow, rebuild, retire } from '../../runtime/websocket/socket.js'
import { Stillness } from '../../runtime/websocket/stillness.js'
import type { Bridge } from './bridge.js'
import { announce, buildClient, engineRequest, type Gives, pollingTransport, takeOut } from './build.js'
import type { Client, IoSocket, Library, Transport } from './internals.js'
import type { Members, Seat } from './members.js'
import { type ClientState, checkPolling, checkWebSocket, type WebSocketState } from './record.js'
import { type Looks, takeClient, takePolling } from './take.js'

/** What the app says about the data of a socket. */
export interface Data {
  capture(socket: IoSocket): unknown
  restore(socket: IoSocket, data: unknown): void
}

/** A client that was restored, and is not live yet. */
interface Restored {
  readonly client: Client
  readonly state: ClientState
}

/** How often a poll is answered while a WebSocket is tried, so that the client comes to an end with polling (engine.io lib/socket.ts). */
const NUDGE_MS = 100

export class Clients {
  readonly #library: Library
  readonly #webSockets: WebSocketLibrary
  readonly #members: Members
  readonly #bridge: Bridge
  readonly #data: Data
  readonly #stillness: Stillness
  readonly #restored = new WeakMap<Socket, Restored>()
  #polling: Restored[] = []

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
  }

  get sessions(): Pick<
    SessionDefinition<Seat, WebSocketState>,
    'capture' | 'restore' | 'notNow' | 'onMoved' | 'onAdopted'
  > {
    return {
      notNow: (_socket, { webSocket }) => this.#notNow(webSocket),
      capture: (_socket, seat) => this.#capture(seat),
      restore: (socket, state) => this.#restore(socket, state),
      onMoved: (_socket, seat) => this.#onMoved(seat),
      onAdopted: (socket, seat) => this.#onAdopted(socket, seat),
    }
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
        for (const { client, state } of this.#polling.splice(0)) goLive(client, state)
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
    return {
      sid,
      webSocket: toRow({ head: headOf(request), ...look(webSocket, false) }),
      client: client === undefined ? null : takeClient(this.#library, client, this.#looks),
    }
  }

  #restore(socket: Socket, captured: WebSocketState): Seat {
    const { sid, client: state, webSocket: row } = checkWebSocket(captured)
    const { engine } = this.#library
    const server = engine.ws
    if (server === undefined) throw new Error('this release has no WebSocket transport')
    const moved = fromRow(row)
    const webSocket = rebuild(server, this.#webSockets, socket, moved)
    const request = engineRequest(moved.head, 4, socket)
    request.websocket = webSocket
    const transport = engine.createTransport('websocket', request)
    transport.perMessageDeflate = engine.opts.perMessageDeflate
    sendFirst(webSocket, moved.waiting)
    this.#members.know(webSocket, socket)
    if (state === null) this.#tryAgain(sid, transport)
    else {
      const client = buildClient(this.#library, state, transport, socket, this.#gives)
      this.#restored.set(socket, { client, state })
      this.#bridge.catchUp(client, state.heardBy, state.heard)
    }
    return { sid, transport, webSocket, request }
  }

  /** The client tries a WebSocket, and may be waiting for the end of its poll. */
  #tryAgain(sid: string, transport: Transport): void {
    const conn = this.#library.engine.clients[sid]
    if (conn === undefined || conn.upgrading || conn.upgraded) {
      transport.close()
      return
    }
    conn._maybeUpgrade(transport)
    const timer = setInterval(() => {
      if (!conn.upgrading) clearInterval(timer)
      else if (conn.transport.name === 'polling' && conn.transport.writable) conn.transport.send([{ type: 'noop' }])
    }, NUDGE_MS)
    timer.unref()
  }

  #onMoved(seat: Seat): void {
    const client = this.#members.clientOn(seat)
    this.#stillness.forget(seat.webSocket)
    retire(seat.webSocket)
    if (client === undefined) {
      // Whoever tries it here gives it up.
      seat.transport.emit('close')
      return
    }
    takeOut(this.#library, client)
    this.#bridge.moved(client)
  }

  #onAdopted(socket: Socket, seat: Seat): void {
    const restored = this.#restored.get(socket)
    this.#restored.delete(socket)
    // A predecessor that had given the client away already has not read on.
    if (seat.webSocket.isPaused) seat.webSocket.resume()
    if (restored !== undefined) goLive(restored.client, restored.state)
  }

  /** May come twice: what comes later is what counts. */
  #restorePolling(captured: unknown): void {
    const { clients, ackIds, recoverable } = checkPolling(captured)
    const { io } = this.#library
    for (const { client } of this.#polling.splice(0)) takeOut(this.#library, client)
    for (const state of clients) {
      const transport = pollingTransport(this.#library, state)
      const client = buildClient(this.#library, state, transport, new Socket(), this.#gives)
      this.#polling.push({ client, state })
    }
    for (const [name, namespace] of io._nsps) namespace._ids = Math.max(namespace._ids, ackIds[name] ?? 0)
    for (const [name, { sessions, packets }] of Object.entries(recoverable)) {
      const { sessions: known, packets: kept } = io._nsps.get(name)?.adapter ?? {}
      for (const [id, session] of sessions) known?.set(id, session)
      kept?.splice(0, kept.length, ...packets)
    }
  }
}

function goLive(client: Client, state: ClientState): void {
  client.conn.flush()
  announce(client, state)
  if (state.closing) (client.conn as unknown as { close(): void }).close()
}
