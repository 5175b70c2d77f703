/** The clients of a server, and the sockets they are on. */
import { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { prepare } from '../../runtime/websocket/socket.js'
import { keepOutputReadable } from '../../sys/node-internals.js'
import type { Client, EngineRequest, EngineSocket, Library, Transport } from './internals.js'

/** A WebSocket: a client's transport, or one that a polling client is trying. */
export interface Seat {
  readonly sid: string
  transport: Transport
  readonly webSocket: WebSocket
  readonly request: EngineRequest
  /** Of what may change without a use of the socket, when it was captured. */
  looked: number
  /** It was at work when it was captured: what can be seen only of one that stands still is missing. */
  isStale: boolean
}

export class Members {
  readonly #library: Library
  readonly #clients = new WeakMap<EngineSocket, Client>()
  readonly #sockets = new WeakMap<WebSocket, Socket>()
  readonly #open: (socket: Socket, seat: Seat) => void

  /** @param open called with each WebSocket, once it is known whose it is. */
  constructor(library: Library, open: (socket: Socket, seat: Seat) => void) {
    this.#library = library
    this.#open = open
    this.#knowClients()
    this.#knowWebSockets()
  }

  of(conn: EngineSocket | undefined): Client | undefined {
    return conn === undefined ? undefined : this.#clients.get(conn)
  }

  connOf({ sid }: Seat): EngineSocket | undefined {
    return this.#library.engine.clients[sid]
  }

  /** The client whose transport this is; undefined when it is only tried. */
  clientOn(seat: Seat): Client | undefined {
    const conn = this.connOf(seat)
    return conn?.transport === seat.transport ? this.of(conn) : undefined
  }

  /** One that came with an upgrade. */
  know(webSocket: WebSocket, socket: Socket): void {
    this.#sockets.set(webSocket, socket)
  }

  /** The connection a client is on: for a WebSocket. */
  socketOf({ transport }: EngineSocket): Socket | undefined {
    return transport.name === 'websocket' ? this.#sockets.get(transport.socket) : undefined
  }

  connectionOf(webSocket: WebSocket): Socket | undefined {
    return this.#sockets.get(webSocket)
  }

  /** A client of another process tries a WebSocket here: nothing is read of it before it is there. */
  probe(_sid: string, transport: Transport): void {
    transport.socket.pause()
  }

  *polling(): Iterable<Client> {
    for (const conn of Object.values(this.#library.engine.clients)) {
      const client = this.of(conn)
      if (client !== undefined && conn.transport.name === 'polling') yield client
    }
  }

  *all(): Iterable<Client> {
    for (const conn of Object.values(this.#library.engine.clients)) {
      const client = this.of(conn)
      if (client !== undefined) yield client
    }
  }

  /** Nobody but its own listeners knows a client: once for each that connects. */
  #knowClients(): void {
    const clients = this.#clients
    const { prototype } = this.#library.Client
    const { setup } = prototype
    prototype.setup = function (this: Client) {
      clients.set(this.conn, this)
      setup.call(this)
    }
  }

  #knowWebSockets(): void {
    const { engine } = this.#library
    const transports = new WeakMap<EngineRequest, Transport>()
    const { createTransport, handleUpgrade, onWebSocket } = engine
    engine.handleUpgrade = (request, socket, head) => {
      // Before the answer to the handshake is written.
      if (socket instanceof Socket) keepOutputReadable(socket)
      handleUpgrade.call(engine, request, socket, head)
    }
    engine.createTransport = (name, request) => {
      const transport = createTransport.call(engine, name, request)
      transports.set(request, transport)
      return transport
    }
    engine.onWebSocket = (request, socket, webSocket) => {
      this.#sockets.set(webSocket, socket as Socket)
      prepare(webSocket)
      onWebSocket.call(engine, request, socket, webSocket)
      const { sid } = request._query
      const transport = transports.get(request)
      // Without an id it is a new client, which is told of below.
      if (sid !== undefined && transport !== undefined)
        this.#take({ sid, transport, webSocket, request, looked: 0, isStale: false })
    }
    engine.on('connection', (conn: EngineSocket) => {
      const { transport } = conn
      const request = conn.request as EngineRequest
      if (transport.name === 'websocket')
        this.#take({ sid: conn.id, transport, webSocket: transport.socket, request, looked: 0, isStale: false })
    })
  }

  #take(seat: Seat): void {
    const socket = this.#sockets.get(seat.webSocket)
    if (socket !== undefined && !socket.destroyed) this.#open(socket, seat)
  }
}
