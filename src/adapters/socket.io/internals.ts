/**
 * Everything of Socket.IO and Engine.IO that is private, in one place: their objects as they are inside, seen to be so in
 * socket.io 4.8 with engine.io 6.6. What is looked for and not there makes `learn` say so, and nothing moves.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { Server, type Socket } from 'socket.io'
import type { WebSocket, WebSocketServer } from 'ws'

export interface EnginePacket {
  readonly type: string
  readonly data?: unknown
  readonly options?: { compress?: boolean; volatile?: boolean; preEncoded?: boolean }
}

export interface EngineRequest extends IncomingMessage {
  _query: Record<string, string>
  websocket?: WebSocket
  res?: ServerResponse | null
  cleanup?(): void
}

export interface Transport extends EventEmitter {
  readonly name: string
  sid?: string
  writable: boolean
  readonly readyState: string
  perMessageDeflate?: unknown
  maxHttpBufferSize?: number
  httpCompression?: unknown
  /** Of a WebSocket. */
  readonly socket: WebSocket
  /** Of polling: the request that waits for packets, and the one that brings some. */
  readonly req?: EngineRequest | null
  readonly res?: ServerResponse | null
  readonly dataReq?: EngineRequest | null
  readonly dataRes?: ServerResponse | null
  onRequest(request: EngineRequest): void
  onData(payload: unknown): void
  send(packets: EnginePacket[]): void
  close(): void
}

export interface EngineSocket extends EventEmitter {
  readonly id: string
  readonly protocol: 3 | 4
  readyState: string
  upgrading: boolean
  upgraded: boolean
  request: EngineRequest | null
  remoteAddress: string
  writeBuffer: EnginePacket[]
  packetsFn: unknown[]
  transport: Transport
  pingTimeoutTimer: NodeJS.Timeout | null
  pingIntervalTimer: NodeJS.Timeout | null
  hasRefreshedPingTimeout?: boolean
  cleanupFn: (() => void)[]
  schedulePing(): void
  resetPingTimeout(ms: number): void
  sendPacket(type: string): void
  onClose(reason: string): void
  close(): void
  flush(): void
  _maybeUpgrade(transport: Transport): void
}

export interface EngineServer extends EventEmitter {
  readonly ws?: WebSocketServer
  readonly opts: { pingInterval: number; pingTimeout: number; perMessageDeflate: unknown } & Record<string, unknown>
  clients: Record<string, EngineSocket>
  clientsCount: number
  createTransport(name: string, request: EngineRequest): Transport
  handleUpgrade(request: EngineRequest, socket: unknown, head: Buffer): void
  onWebSocket(request: EngineRequest, socket: unknown, webSocket: WebSocket): void
  handshake(name: string, request: EngineRequest, refuse: (code: number) => void): Promise<unknown>
}

export interface Client {
  readonly conn: EngineSocket
  readonly sockets: Map<string, IoSocket>
  readonly nsps: Map<string, IoSocket>
  readonly decoder: { reconstructor?: Reconstructor | null; add(data: unknown): void }
  connectTimeout: NodeJS.Timeout | undefined
  setup(): void
  connect(namespace: string, auth: unknown): void
  destroy(): void
  _packet(packet: unknown, options?: object): void
  writeToEngine(encoded: unknown, options?: object): void
}

/** A packet whose attachments come. */
export interface Reconstructor {
  packet: unknown
  reconPack: unknown
  buffers: unknown[]
}

export type Acknowledge = (...args: unknown[]) => void

export interface IoSocket extends EventEmitter {
  id: string
  pid?: string
  recovered: boolean
  connected: boolean
  data: unknown
  handshake: Record<string, unknown>
  readonly nsp: Namespace
  readonly client: Client
  readonly acks: Map<number, Acknowledge>
  readonly rooms: Set<string>
  ack(id: number): Acknowledge
  onack(packet: { id: number; data: unknown[] }): void
  disconnect(close?: boolean): unknown
}

export interface BroadcastOptions {
  readonly rooms: Set<string>
  readonly except?: Set<string>
  readonly flags?: Record<string, unknown>
}

export interface IoAdapter extends EventEmitter {
  readonly rooms: Map<string, Set<string>>
  readonly sids: Map<string, Set<string>>
  addAll(id: string, rooms: Set<string>): unknown
  del(id: string, room: string): unknown
  delAll(id: string): unknown
  broadcast(packet: unknown, options: BroadcastOptions): void
  broadcastWithAck(
    packet: unknown,
    options: BroadcastOptions,
    onCount: (count: number) => void,
    onAnswer: Acknowledge,
  ): void
  addSockets(options: BroadcastOptions, rooms: string[]): void
  delSockets(options: BroadcastOptions, rooms: string[]): void
  disconnectSockets(options: BroadcastOptions, close: boolean): void
  apply(options: BroadcastOptions, each: (socket: IoSocket) => void): void
  /** With connection state recovery: those that have gone and may come back; what was sent meanwhile. */
  readonly sessions?: Map<string, unknown>
  readonly packets?: unknown[]
}

export interface Namespace extends EventEmitter {
  readonly name: string
  readonly sockets: Map<string, IoSocket>
  /** Sockets whose middlewares are under way. Since 4.8. */
  readonly _preConnectSockets: Map<string, IoSocket>
  readonly adapter: IoAdapter
  _ids: number
}

export interface Io {
  readonly engine: EngineServer
  readonly encoder: { encode(packet: unknown): unknown[] }
  readonly _parser: {
    Decoder: new () => { on(event: 'decoded', listener: (packet: unknown) => void): void; add(data: unknown): void }
  }
  readonly _nsps: Map<string, Namespace>
  of(name: string): Namespace
  _checkNamespace(name: string, auth: unknown, done: (namespace: unknown) => void): void
}

type Constructor<T, A extends unknown[]> = { new (...args: A): T; readonly prototype: T }

/** The classes of the library the server is of. */
export interface Library {
  readonly io: Io
  readonly engine: EngineServer
  readonly EngineSocket: Constructor<EngineSocket, [string, EngineServer, Transport, EngineRequest, 3 | 4]>
  readonly Client: Constructor<Client, [Io, EngineSocket]>
  readonly IoSocket: Constructor<IoSocket, [Namespace, Client, unknown, object]>
  /** Adapters that know this process only. Others reach the clients of all by themselves. */
  readonly localAdapters: readonly unknown[]
}

/** @returns the library, or as a string what of it is not there. */
export function learn(server: Server): Library | string {
  const io = server as unknown as Io
  if (!(server instanceof Server)) return 'the server is of another copy of socket.io than the one handover finds'
  try {
    // As the library itself finds them: whatever else is installed, these belong together.
    const require = createRequire(createRequire(import.meta.url).resolve('socket.io'))
    const library: Library = {
      io,
      engine: io.engine,
      EngineSocket: require('engine.io').Socket,
      Client: require('./client.js').Client,
      IoSocket: require('./socket.js').Socket,
      localAdapters: [require('socket.io-adapter').Adapter, require('socket.io-adapter').SessionAwareAdapter],
    }
    return missingIn(library) ?? library
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const IS_FUNCTION: readonly [keyof Library, readonly string[]][] = [
  ['io', ['of', '_checkNamespace']],
  ['engine', ['createTransport', 'handleUpgrade', 'onWebSocket', 'handshake']],
]

function missingIn(library: Library): string | undefined {
  for (const [of, names] of IS_FUNCTION)
    for (const name of names)
      if (typeof (library[of] as unknown as Record<string, unknown>)[name] !== 'function') return `${of}.${name}`
  const { io, engine, EngineSocket, Client, IoSocket } = library
  const namespace = io.of('/')
  if (!(io._nsps instanceof Map) || !(namespace.sockets instanceof Map)) return 'Server._nsps'
  if (!(namespace._preConnectSockets instanceof Map)) return 'Namespace._preConnectSockets (socket.io 4.8)'
  if (typeof namespace._ids !== 'number') return 'Namespace._ids'
  if (!(namespace.adapter?.rooms instanceof Map) || !(namespace.adapter.sids instanceof Map)) return 'Adapter.rooms'
  if (typeof engine.clients !== 'object' || typeof engine.clientsCount !== 'number') return 'engine.clients'
  for (const method of ['schedulePing', 'resetPingTimeout', 'sendPacket', 'flush', '_maybeUpgrade'] as const)
    if (typeof EngineSocket.prototype[method] !== 'function') return `engine Socket.${method}`
  for (const method of ['setup', 'connect', 'destroy', '_packet', 'writeToEngine'] as const)
    if (typeof Client.prototype[method] !== 'function') return `Client.${method}`
  for (const method of ['ack', 'onack', 'disconnect'] as const)
    if (typeof IoSocket.prototype[method] !== 'function') return `Socket.${method}`
  return undefined
}

/** To the outside it is the library's own class. */
export const publicly = (socket: IoSocket): Socket => socket as unknown as Socket
export const privately = (socket: Socket): IoSocket => socket as unknown as IoSocket
