/** handover/http without a supervisor: it changes nothing, and says what it cannot take. */
import { once } from 'node:events'
import { Agent, createServer, get, type Server } from 'node:http'
import { createServer as createSecure } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { join } from 'handover'
import { http } from 'handover/http'
import t from 'tap'
import { until } from '../harness/timeout.js'

const runtime = await join()

t.test('it says what it cannot take', async (t) => {
  const usage = (message: RegExp) => ({ code: 'HANDOVER_USAGE', message })
  t.throws(() => http(runtime, createSecure() as unknown as Server), usage(/is not an http\.Server/))
  t.throws(() => http({} as never, createServer()), usage(/the runtime that join\(\) returned/))
  const server = createServer()
  http(runtime, server, { name: 'first' })
  t.throws(() => http(runtime, server, { name: 'second' }), usage(/for the second time/))
  t.throws(() => http(runtime, createServer(), { name: 'first' }), usage(/declared already/))
  const listening = createServer().listen(0, '127.0.0.1')
  await once(listening, 'listening')
  t.throws(() => http(runtime, listening, { name: 'third' }), usage(/listens already/))
  listening.close()
})

t.test('connections are sessions while they are open; strings are written as they are', async (t) => {
  const server = createServer((_request, response) => response.end('hello'))
  const connections = http(runtime, server)
  await runtime.listen(server, { name: 'web', port: 0, host: '127.0.0.1' })
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true })
  for (let request = 0; request < 3; request++) {
    const [response] = await once(get({ port, host: '127.0.0.1', agent }), 'response')
    t.equal(await text(response), 'hello')
    t.equal(connections.size, 1)
  }
  const [[socket]] = [...connections] as unknown as [[Socket & { _writableState: { decodeStrings: boolean } }]]
  t.equal(socket._writableState.decodeStrings, false)
  agent.destroy()
  await until(() => connections.size === 0, 'the end of the connection')
  server.close()
})

t.test('a stream that is no socket is served all the same', async (t) => {
  const server = createServer((_request, response) => response.end('hello'))
  const connections = http(runtime, server, { name: 'streams' })
  const [client, served] = duplexPair()
  server.emit('connection', served)
  t.equal(connections.size, 0)
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(await text(client), /^HTTP\/1\.1 200 OK\r\n(.|\s)*hello$/)
})
