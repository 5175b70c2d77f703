/** What a client consists of, as plain data. Looked at, never taken. */
import { headOf } from '../../runtime/websocket/request.js'
import { nowMs } from '../../sys/clock.js'
import { timeLeftMs } from '../../sys/node-internals.js'
import type { Client, EnginePacket, EngineSocket, Io, IoSocket, Library } from './internals.js'
import type { ClientState, NamespaceState, PacketState, PollingState } from './record.js'

/** What the app's definition adds. */
export interface Looks {
  capture(socket: IoSocket): unknown
  /** Which process has the callback of an acknowledgement. */
  originOf(callback: unknown): string
  waits(socket: IoSocket): boolean
  readonly heard: number
  readonly heardBy: string
}

export function takeClient({ io }: Library, client: Client, looks: Looks): ClientState {
  const { conn } = client
  const { request } = conn
  return {
    sid: conn.id,
    protocol: conn.protocol,
    address: conn.remoteAddress,
    request: request === null ? null : { ...headOf(request), rawHeaders: [...request.rawHeaders] },
    upgraded: conn.upgraded,
    upgrading: conn.upgrading,
    pingAtMs: dueAtMs(conn.pingIntervalTimer),
    pongByMs: dueAtMs(conn.pingTimeoutTimer),
    refreshed: conn.hasRefreshedPingTimeout === true,
    closing: conn.readyState === 'closing',
    packets: conn.writeBuffer.map(takePacket),
    partial: takePartial(client),
    joining: [...joiningOf(io, client)],
    namespaces: [...client.sockets.values()].map((socket) => takeNamespace(socket, conn, looks)),
    heard: looks.heard,
    heardBy: looks.heardBy,
  }
}

function dueAtMs(timer: NodeJS.Timeout | null): number | null {
  const left = timer === null ? undefined : timeLeftMs(timer)
  return left === undefined ? null : nowMs() + left
}

/** A frame that was encoded for all is encoded again: it is the same, and thousands of them need not travel. */
function takePacket({ type, data, options }: EnginePacket): PacketState {
  const bytes = data instanceof ArrayBuffer ? Buffer.from(data) : ((data ?? null) as string | Uint8Array | null)
  return { type, data: bytes, compress: options?.compress !== false, volatile: options?.volatile === true }
}

function takePartial({ decoder: { reconstructor } }: Client): ClientState['partial'] {
  if (!reconstructor) return null
  return { packet: reconstructor.reconPack, buffers: reconstructor.buffers as Uint8Array[] }
}

function* joiningOf(io: Io, client: Client): Iterable<{ name: string; auth: unknown }> {
  for (const { name, _preConnectSockets: joining } of io._nsps.values())
    for (const socket of joining.values())
      if (socket.client === client) yield { name, auth: socket.handshake['auth'] ?? {} }
}

function takeNamespace(socket: IoSocket, conn: EngineSocket, looks: Looks): NamespaceState {
  const { handshake, acks, nsp, id, pid, rooms } = socket
  const said = { ...handshake }
  const { request } = conn
  if (request !== null) {
    if (said['headers'] === request.headers) delete said['headers']
    if (said['url'] === request.url) delete said['url']
    if (said['query'] === request._query) delete said['query']
  }
  return {
    name: nsp.name,
    id,
    pid: pid ?? null,
    rooms: [...rooms],
    data: looks.capture(socket),
    handshake: said,
    acks: [...acks].map(([ack, callback]) => [ack, looks.originOf(callback)]),
    waits: looks.waits(socket),
  }
}

/** What no connection stands for. */
export function takePolling(library: Library, clients: Iterable<Client>, looks: Looks): PollingState {
  const ackIds: PollingState['ackIds'] = {}
  const recoverable: PollingState['recoverable'] = {}
  for (const { name, _ids, adapter } of library.io._nsps.values()) {
    ackIds[name] = _ids
    const { sessions, packets } = adapter
    if (sessions instanceof Map && Array.isArray(packets)) recoverable[name] = { sessions, packets }
  }
  return { clients: [...clients].map((client) => takeClient(library, client, looks)), ackIds, recoverable }
}
