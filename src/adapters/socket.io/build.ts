/** Puts a client together from what travelled, and takes one out that goes on in another process. Nobody is told of either. */
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { apart } from '../../runtime/apart.js'
import { requestOf } from '../../runtime/websocket/request.js'
import type {
  Acknowledge,
  Client,
  EnginePacket,
  EngineRequest,
  EngineSocket,
  IoSocket,
  Library,
  Namespace,
  Reconstructor,
  Transport,
} from './internals.js'
import type { ClientState, NamespaceState, PacketState } from './record.js'
import { resumePings } from './timers.js'

/** What the app's definition adds. */
export interface Gives {
  restore(socket: IoSocket, data: unknown): void
  /** For an acknowledgement whose callback another process has. */
  relay(origin: string, socket: IoSocket, id: number): Acknowledge
  /** Tells the process it comes from when it is gone. */
  watch(origin: string, socket: IoSocket): void
}

/** A client that is not live yet. */
export interface Built {
  readonly client: Client
  readonly state: ClientState
  /** Its timers go on. */
  arm(): void
}

/** A request as Engine.IO wants it. @param state null when the app has dropped it: it is then one of the protocol alone. */
export function engineRequest(state: ClientState['request'], protocol: number, socket: Socket): EngineRequest {
  const head = state ?? { method: 'GET', url: `/?EIO=${protocol}`, httpVersion: '1.1', rawHeaders: [] }
  const request = requestOf(socket, head) as EngineRequest
  request._query = Object.fromEntries(new URL(head.url, 'https://socket.io').searchParams)
  return request
}

export function pollingTransport({ engine }: Library, state: ClientState): Transport {
  const transport = engine.createTransport('polling', engineRequest(state.request, state.protocol, new Socket()))
  transport.maxHttpBufferSize = engine.opts['maxHttpBufferSize'] as number
  transport.httpCompression = engine.opts['httpCompression']
  return transport
}

export function buildClient(
  library: Library,
  state: ClientState,
  transport: Transport,
  socket: Socket,
  gives: Gives,
): Built {
  const { engine, io, EngineSocket, Client } = library
  const request = engineRequest(state.request, state.protocol, socket)
  // Its constructor would greet the client; and nothing is sent before commit.
  transport.writable = false
  const conn = new EngineSocket(state.sid, engine, transport, request, state.protocol)
  conn.writeBuffer = state.packets.map(givePacket)
  conn.remoteAddress = state.address
  conn.upgraded = state.upgraded
  transport.on('headers', (headers: unknown, request: unknown) => engine.emit('headers', headers, request))
  const arm = resumePings(conn, engine, state)
  engine.clients[conn.id] = conn
  engine.clientsCount++
  conn.once('close', () => {
    delete engine.clients[conn.id]
    engine.clientsCount--
  })
  const client = new Client(io, conn)
  if (state.request === null) conn.request = null
  if (state.partial !== null) givePartial(client, state.partial)
  if (state.namespaces.length > 0) {
    clearTimeout(client.connectTimeout)
    client.connectTimeout = undefined
  }
  for (const each of state.namespaces) {
    const socket = buildNamespace(library, client, each, gives)
    if (each.waits) gives.watch(state.heardBy, socket)
  }
  return { client, state, arm }
}

function givePacket({ type, data, compress, volatile }: PacketState): EnginePacket {
  const bytes = data === null || typeof data === 'string' ? data : Buffer.from(data)
  return { type, options: { compress, volatile }, ...(bytes === null ? {} : { data: bytes }) }
}

/** The library's own reconstructor, as it makes one for any such packet. */
function givePartial({ decoder }: Client, { packet, buffers }: NonNullable<ClientState['partial']>): void {
  decoder.add('51-["x",{"_placeholder":true,"num":0}]')
  const made = decoder.reconstructor as Reconstructor
  made.packet = packet
  made.reconPack = packet
  made.buffers = buffers.map((bytes) => Buffer.from(bytes))
}

function buildNamespace(library: Library, client: Client, state: NamespaceState, gives: Gives): IoSocket {
  const namespace = namespaceOf(library, state)
  const session = { sid: state.id, pid: state.pid ?? undefined, rooms: [], data: {}, missedPackets: [] }
  const socket = new library.IoSocket(namespace, client, state.handshake['auth'] ?? {}, session)
  Object.assign(socket.handshake, state.handshake)
  socket.connected = true
  namespace.adapter.addAll(state.id, new Set(state.rooms))
  namespace.sockets.set(state.id, socket)
  client.sockets.set(state.id, socket)
  client.nsps.set(namespace.name, socket)
  for (const [id, origin] of state.acks) socket.acks.set(id, gives.relay(origin, socket, id))
  gives.restore(socket, state.data)
  return socket
}

/** Throws when the app of this release does not have it. */
function namespaceOf({ io }: Library, { name, handshake }: NamespaceState): Namespace {
  if (!io._nsps.has(name)) {
    let isKnown = false
    io._checkNamespace(name, handshake['auth'], (namespace) => {
      isKnown = namespace !== false
    })
    if (!isKnown) throw new Error(`this release has no namespace "${name}"`)
  }
  return io.of(name)
}

/** It is live: the app gets its sockets, as it gets those of new clients. */
export function goLive({ client, state: { joining, closing }, arm }: Built): void {
  const { conn } = client
  arm()
  conn.flush()
  for (const socket of client.sockets.values()) {
    const { emit } = EventEmitter.prototype
    for (const event of ['connect', 'connection']) apart(() => emit.call(socket.nsp, event, socket))
  }
  for (const { name, auth } of joining) client.connect(name, auth)
  if (closing) conn.close()
}

/** It goes on elsewhere. Its sockets stay connected in the eyes of those that still hold them: see `Bridge`. */
export function takeOut({ engine }: Library, client: Client): void {
  const { conn } = client
  if (engine.clients[conn.id] === conn) {
    delete engine.clients[conn.id]
    engine.clientsCount--
  }
  clearTimeout(conn.pingIntervalTimer as NodeJS.Timeout)
  clearTimeout(conn.pingTimeoutTimer as NodeJS.Timeout)
  for (const cleanup of conn.cleanupFn.splice(0)) cleanup()
  client.destroy()
  conn.removeAllListeners('close')
  conn.readyState = 'closed'
  for (const socket of client.sockets.values()) leaveNamespace(socket)
}

function leaveNamespace({ id, nsp }: IoSocket): void {
  nsp.sockets.delete(id)
  const { sids, rooms } = nsp.adapter
  for (const room of sids.get(id) ?? []) {
    const members = rooms.get(room)
    members?.delete(id)
    if (members?.size === 0) rooms.delete(room)
  }
  sids.delete(id)
}

export function isPolling(conn: EngineSocket): boolean {
  return conn.transport.name === 'polling'
}
