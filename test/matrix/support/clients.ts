/** Clients that ask a server who it is, over one connection, and never make a second one. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { get } from 'node:http'
import { createInterface } from 'node:readline'
import { io } from 'socket.io-client'
import { keepAlive, type OneConnection, webSocket } from '../../harness/one-connection.js'
import { within } from '../../harness/timeout.js'
import type { Subject } from './programs.js'

export interface Client {
  /** The generation that answers now. Rejects when the connection is no longer what it was. */
  who(): Promise<number>
  close(): void
}

const generationOf = (text: unknown): number => (JSON.parse(String(text)) as { generation: number }).generation

const asking = (client: OneConnection): Client => ({
  who: async () => generationOf(await client.ask()),
  close: () => client.close(),
})

export const CLIENTS: Record<Subject['client'], (port: number) => Promise<Client>> = {
  http: async (port) => asking(keepAlive(port)),

  async sse(port) {
    const request = get({ port, host: '127.0.0.1', agent: false })
    const [response] = await within(once(request, 'response'), 'a response')
    // Its own close() aborts it.
    response.on('error', () => undefined)
    let latest = 0
    let over = false
    const lines = createInterface({ input: response })
    for (const each of [request, lines]) each.on('error', () => undefined)
    lines.on('line', (line) => {
      if (line.startsWith('data: ')) latest = generationOf(line.slice(6))
    })
    lines.on('close', () => (over = true))
    return {
      async who() {
        const [line] = await within(once(lines, 'line'), 'an event')
        void line
        if (over) throw new Error('the stream has ended')
        return latest
      },
      close: () => request.destroy(),
    }
  },

  ws: async (port) => asking(await webSocket(port)),

  'socket.io': (port) => socketIo(port, 'websocket'),
  'socket.io polling': (port) => socketIo(port, 'polling'),

  async udp(port) {
    const socket = createSocket('udp4')
    return {
      async who() {
        socket.send('who', port, '127.0.0.1')
        const [message] = await within(once(socket, 'message'), 'a datagram')
        return generationOf(message)
      },
      close: () => socket.close(),
    }
  },
}

async function socketIo(port: number, transport: 'websocket' | 'polling'): Promise<Client> {
  const socket = io(`http://127.0.0.1:${port}`, { transports: [transport], reconnection: false, forceNew: true })
  const heard = (event: string) => new Promise<unknown>((resolve) => socket.once(event, resolve))
  await within(heard('connect'), 'a connection')
  const { id } = socket
  return {
    async who() {
      const answer = heard('me')
      socket.emit('who')
      const said = await within(answer, 'an answer')
      if (socket.id !== id) throw new Error('it has another id')
      return generationOf(said)
    },
    close: () => socket.close(),
  }
}
