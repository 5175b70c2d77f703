/** What of a client travels, as plain data. */
import { HandoverError } from '../../errors.js'
import type { RequestHead } from '../../runtime/websocket/request.js'

export interface NamespaceState {
  readonly name: string
  readonly id: string
  /** The private id of connection state recovery. */
  readonly pid: string | null
  readonly rooms: string[]
  /** What the definition captures: `socket.data`, unless it says otherwise. */
  data: unknown
  /** Without what follows from the request. */
  readonly handshake: Record<string, unknown>
  /** Acknowledgements the client owes: the id, and which process has the callback. */
  readonly acks: [id: number, origin: string][]
  /** The process it comes from waits for something of it, and wants to know when it is gone. */
  readonly waits: boolean
}

export interface PacketState {
  readonly type: string
  readonly data: string | Uint8Array | null
  readonly compress: boolean
  readonly volatile: boolean
}

export interface ClientState {
  /** The Engine.IO session. */
  readonly sid: string
  readonly protocol: 3 | 4
  readonly address: string
  /** The request it began with; null when the app has dropped it. */
  readonly request: RequestHead | null
  readonly upgraded: boolean
  /** Another transport is being tried. */
  readonly upgrading: boolean
  /** When the next ping is due, and the pong to the last one, on the machine's monotonic clock; null: none is. */
  readonly pingAtMs: number | null
  readonly pongByMs: number | null
  readonly refreshed: boolean
  /** The app has closed it, and it waits for what is still to be sent. */
  readonly closing: boolean
  /** Packets that wait for the transport. */
  readonly packets: PacketState[]
  /** A packet whose attachments have come in part. */
  readonly partial: { readonly packet: unknown; readonly buffers: Uint8Array[] } | null
  /** Namespaces whose middlewares are under way: they are asked again. */
  readonly joining: { readonly name: string; readonly auth: unknown }[]
  readonly namespaces: NamespaceState[]
  /** Number of the last broadcast of the successor that was delivered to it, by this process. */
  readonly heard: number
  readonly heardBy: string
}

/** A WebSocket: a client's transport, or one that a polling client is trying. */
export interface WebSocketState {
  readonly sid: string
  /** Row of `runtime/websocket`. */
  readonly webSocket: unknown
  /** Null while it is tried: the client is polling, and travels with the shared state. */
  readonly client: ClientState | null
}

export interface PollingState {
  readonly clients: ClientState[]
  /** By namespace: the next number of an acknowledgement. */
  readonly ackIds: Record<string, number>
  /** By namespace: what connection state recovery remembers. */
  readonly recoverable: Record<string, { sessions: Map<string, unknown>; packets: unknown[] }>
}

/** The other generation may be anything. @throws HandoverError HANDOVER_MESSAGE_INVALID */
export function checkClient(state: unknown): ClientState {
  const { sid, protocol, namespaces, packets, joining } = fields(state)
  if (typeof sid !== 'string' || sid === '') invalid('has no id')
  if (protocol !== 3 && protocol !== 4) invalid('is of an unknown protocol')
  for (const list of [namespaces, packets, joining]) if (!Array.isArray(list)) invalid('has no lists')
  for (const each of namespaces as unknown[]) {
    const { name, id, rooms, acks, handshake } = fields(each)
    if (typeof name !== 'string' || typeof id !== 'string') invalid('has a namespace without a name')
    if (!Array.isArray(rooms) || !Array.isArray(acks)) invalid('has a namespace without rooms')
    fields(handshake)
  }
  return state as ClientState
}

export function checkWebSocket(state: unknown): WebSocketState {
  const { sid, client } = fields(state)
  if (typeof sid !== 'string') invalid('has no id')
  if (client !== null) checkClient(client)
  return state as WebSocketState
}

export function checkPolling(state: unknown): PollingState {
  const { clients, ackIds, recoverable } = fields(state)
  if (!Array.isArray(clients)) invalid('has no list of polling clients')
  for (const client of clients) checkClient(client)
  fields(ackIds)
  fields(recoverable)
  return state as PollingState
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : invalid('is not an object')
}

function invalid(what: string): never {
  throw new HandoverError('HANDOVER_MESSAGE_INVALID', `the record of a Socket.IO client ${what}`)
}
