/** Clients that ask over one connection, and never make a second one: whoever answers has that connection. */
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { WebSocket } from 'ws'
import { within } from './timeout.js'

export interface OneConnection {
  /** The answer's text. Rejects when the connection is no longer what it was. */
  ask(): Promise<string>
  close(): void
}

/** `GET /` over HTTP keep-alive. */
export function keepAlive(port: number): OneConnection {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let first: unknown
  return {
    async ask() {
      const request = get({ port, host: '127.0.0.1', agent })
      const [response] = await within(once(request, 'response'), 'a response')
      first ??= request.socket
      if (request.socket !== first) throw new Error('it took a second connection')
      let body = ''
      for await (const chunk of response) body += String(chunk)
      return body
    },
    close: () => agent.destroy(),
  }
}

/** Says "who" over a WebSocket. */
export async function webSocket(port: number): Promise<OneConnection> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
  await within(once(socket, 'open'), 'a WebSocket')
  return {
    async ask() {
      socket.send('who')
      const [message] = await within(once(socket, 'message'), 'a message')
      return String(message)
    },
    close: () => socket.terminate(),
  }
}
