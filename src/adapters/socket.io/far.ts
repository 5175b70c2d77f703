/** What a successor does for the predecessor of its clients. */
import { Socket } from 'node:net'
import type { RequestHead } from '../../runtime/websocket/request.js'
import { engineRequest } from './build.js'
import type { Crossing } from './crossing.js'
import type { Acknowledge, IoAdapter, IoSocket, Library, Namespace } from './internals.js'
import { FarResponse } from './late.js'
import { optionsIn } from './packets.js'
import type { Message } from './stream.js'

export interface Relays {
  /** For an acknowledgement whose callback the predecessor has. */
  relay(origin: string, socket: IoSocket, id: number): Acknowledge
  clientOf(sid: string): { readonly writeToEngine: (frames: unknown, options: object) => void } | undefined
}

export function serveFar(library: Library, relays: Relays, message: Message, crossing: Crossing): void {
  const { io, engine } = library
  const namespace = io._nsps.get(String(message['namespace']))
  const id = String(message['id'])
  const rooms = new Set((message['rooms'] ?? []) as string[])
  const answer = (more: object) => crossing.send({ t: 'answer', to: message['question'], ...more })
  switch (message.t) {
    case 'packet':
      sendOn(library, relays, message, crossing)
      return
    case 'addAll':
      namespace?.adapter.addAll(id, rooms)
      return
    case 'del':
      for (const room of rooms) namespace?.adapter.del(id, room)
      return
    case 'delAll':
      namespace?.adapter.delAll(id)
      return
    case 'addSockets':
    case 'delSockets':
    case 'disconnectSockets':
      onMany(namespace, message.t, message)
      return
    case 'disconnect':
      namespace?.sockets.get(id)?.disconnect(message['close'] === true)
      return
    case 'payload': {
      const conn = engine.clients[String(message['sid'])]
      const { payload } = message
      if (conn?.transport.name === 'polling')
        conn.transport.onData(typeof payload === 'string' ? payload : Buffer.from(payload as Uint8Array))
      answer({})
      return
    }
    case 'handshake': {
      const socket = new Socket()
      Object.defineProperty(socket, 'remoteAddress', { value: message['address'] })
      const request = engineRequest(message['request'] as RequestHead, 4, socket)
      request.res = new FarResponse((said) => answer(said)) as never
      void engine.handshake('polling', request, (code) => answer({ status: 400, headers: {}, body: String(code) }))
      return
    }
  }
}

function onMany(
  namespace: Namespace | undefined,
  what: 'addSockets' | 'delSockets' | 'disconnectSockets',
  message: Message,
): void {
  if (namespace === undefined) return
  const { adapter } = namespace
  const own = Object.getPrototypeOf(adapter) as IoAdapter
  ;(own[what] as (...args: unknown[]) => void).call(adapter, optionsIn(message), message['value'])
}

function sendOn({ io }: Library, relays: Relays, message: Message, crossing: Crossing): void {
  const client = relays.clientOf(String(message['sid']))
  if (client === undefined) return
  const awaits = message['awaits'] as { namespace: string; id: string; ack: number } | null
  const socket = awaits === null ? undefined : io._nsps.get(awaits.namespace)?.sockets.get(awaits.id)
  if (awaits !== null) socket?.acks.set(awaits.ack, relays.relay(crossing.origin, socket, awaits.ack))
  const { frames, volatile, compress } = message
  const list = (frames as unknown[]).map((frame) => (frame instanceof Uint8Array ? Buffer.from(frame) : frame))
  client.writeToEngine(list, { volatile, compress })
}
