/** Socket.IO 4: clients move with their id, rooms, data and namespaces, over WebSocket and polling. See docs/socket.io.md. */
import { Server as HttpServer } from 'node:http'
import type { Socket as IoSocket, Server } from 'socket.io'
import { HandoverError } from '../errors.js'
import { hostOf } from '../runtime/adapter.js'
import type { Migration, Runtime } from '../runtime/types.js'
import { learn as learnWebSocket } from '../runtime/websocket/internals.js'
import { type Around, Bridge } from './socket.io/bridge.js'
import { Clients, type Data } from './socket.io/clients.js'
import { learn, privately, publicly } from './socket.io/internals.js'
import { Members, type Seat } from './socket.io/members.js'
import { stepsFor } from './socket.io/steps.js'

export interface SocketIoDefinition<State = unknown> {
  /** Names the kind in results. Default 'socket.io'. */
  readonly name?: string
  /** Version of what `capture` returns: of `socket.data`, where there is no capture. Default 1. */
  readonly version?: number
  /** What of a socket is to move, as plain data. Default: `socket.data`. Throws to refuse the upgrade. */
  capture?(socket: IoSocket): State
  /** Default: sets `socket.data`. Before the 'connection' handlers are called; nothing it sends goes out before commit. */
  restore?(socket: IoSocket, state: State): void
  /** `{ 1: v1 => v2 }`, for each socket. */
  readonly upgrade?: Readonly<Record<number, Migration>>
  /** `{ 2: v2 => v1 }`, for each socket. */
  readonly downgrade?: Readonly<Record<number, Migration>>
}

export interface SocketIoClients {
  /** Why clients cannot move with this version of the library, and are drained; undefined when they do. */
  readonly unsupported: string | undefined
  /**
   * Says "not now" for a client until the returned function is called, or `until` has settled. It stays in the predecessor, and
   * follows. For clients on a WebSocket; those that poll move all the same.
   */
  hold(socket: IoSocket, reason: string, until?: Promise<unknown>): () => void
}

/**
 * Makes the clients of a Socket.IO server sessions. Before `runtime.ready`, after the server was attached to its HTTP server. In
 * the successor the 'connection' handlers are called for each client as for a new one; `socket.recovered` is true then.
 * @throws HandoverError HANDOVER_USAGE when the server is attached to nothing, or comes too late.
 */
export function socketIo<State = unknown>(
  runtime: Runtime,
  io: Server,
  definition: SocketIoDefinition<State> = {},
): SocketIoClients {
  const host = hostOf(runtime)
  if (io.engine === undefined)
    throw new HandoverError('HANDOVER_USAGE', 'socketIo() was given a server that is attached to no HTTP server')
  const { name = 'socket.io' } = definition
  const library = learn(io)
  const webSockets =
    typeof library === 'string' || library.engine.ws === undefined ? '' : learnWebSocket(library.engine.ws)
  if (typeof library === 'string') return drained(library)
  if (typeof webSockets === 'string') return drained(webSockets === '' ? 'the transport "websocket"' : webSockets)

  const data: Data = {
    isPlain: definition.restore === undefined,
    capture: (socket) => (definition.capture === undefined ? socket.data : definition.capture(publicly(socket))),
    restore: (socket, state) => {
      if (definition.restore === undefined) socket.data = state
      else definition.restore(publicly(socket), state as State)
    },
  }
  const around: Around = {
    clientOf: (sid) => members.of(library.engine.clients[sid]),
    clients: () => members.all(),
    onProbe: (sid, transport) => members.probe(sid, transport),
  }
  const bridge = new Bridge(library, around)
  const members: Members = new Members(library, (socket, seat) => void kind.open(socket, seat))
  const clients = new Clients(library, webSockets, members, bridge, data, (socket) => kind.touch(socket))
  const ends = host.sessions(`${name} bridge`, bridge.definition)
  // Before the clients: their state is restored first, and a WebSocket that is tried belongs to one of them.
  const steps = stepsFor(definition)
  host.state(`${name} polling`, { ...steps.ofPolling, ...clients.state })
  const kind = host.sessions<Seat>(name, { ...steps.ofWebSockets, ...clients.sessions })
  // An HTTP server's own close() ends idle connections, and the next poll of a client might just be on its way.
  const { httpServer } = io as unknown as { httpServer?: HttpServer }
  if (httpServer instanceof HttpServer) host.keepConnections(httpServer)
  host.hooks({
    onFreeze: () => {
      bridge.begin(ends)
      clients.touchChanged(kind)
    },
    onThaw: () => bridge.undo(),
    onMoved: () => {
      bridge.cross(runtime.generation)
      clients.handOverPolling()
    },
    ...clients.hooks,
  })
  return {
    unsupported: undefined,
    hold(socket, reason, until) {
      const seat = members.socketOf(privately(socket).client.conn)
      return seat === undefined ? () => undefined : kind.hold(seat, reason, until)
    },
  }
}

function drained(missing: string): SocketIoClients {
  return {
    unsupported: `clients are drained: ${missing} is not there`,
    hold: () => () => undefined,
  }
}
