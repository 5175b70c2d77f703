/** The client that counts bytes loses none itself. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import type { Teardown } from './child.js'
import { RawWebSocket } from './raw-websocket.js'
import { until } from './timeout.js'

const ANSWER = 'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
const frameOf = (text: string): Buffer => Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)])

/** What connects in this process. */
function connecting(t: Teardown): Socket[] {
  const sockets: Socket[] = []
  const add = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket)
  subscribe('net.client.socket', add)
  t.teardown(() => unsubscribe('net.client.socket', add))
  return sockets
}

async function listen(t: Teardown): Promise<{ server: Server; port: number }> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

t.test('what comes while it waits at the cut is there, in whatever pieces', async (t) => {
  const { server, port } = await listen(t)
  const clients = connecting(t)
  const pieces = [ANSWER.slice(0, 40), ANSWER.slice(40), frameOf('first'), frameOf('second').subarray(0, 3)]
  const webSocket = await RawWebSocket.open({
    port,
    cut: {
      at: 10_000,
      until: async () => {
        const [socket] = (await once(server, 'connection')) as [Socket]
        socket.resume()
        t.teardown(() => socket.destroy())
        let sent = 0
        for (const piece of pieces) {
          socket.write(piece)
          sent += piece.length
          await until(() => clients[0]?.bytesRead === sent, 'the client to have read a piece')
        }
        socket.write(frameOf('second').subarray(3))
      },
    },
  })
  await webSocket.gets(2)
  t.same(webSocket.texts, ['first', 'second'])
  t.equal(webSocket.received.toString(), Buffer.concat([frameOf('first'), frameOf('second')]).toString())
  webSocket.socket.destroy()
})

t.test('an answer that is none, or no answer, is told of at once', async (t) => {
  const { server, port } = await listen(t)
  server.on('connection', (socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await t.rejects(RawWebSocket.open({ port }), /answered with HTTP\/1.1 400 Bad Request/)
  server.removeAllListeners('connection').on('connection', (socket) => socket.resume().end())
  await t.rejects(RawWebSocket.open({ port }), /answered with , ended true/)
})
