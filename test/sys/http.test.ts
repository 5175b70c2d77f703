/** Where an HTTP/1 connection stands, asked of it after each byte of what clients send. */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createFront, Socket } from 'node:net'
import t from 'tap'
import {
  abandon,
  countConnection,
  holdReads,
  isAtBoundary,
  isParsing,
  letRead,
  whyNotAtBoundary,
} from '../../src/sys/node-internals.js'
import type { Teardown } from '../harness/child.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const GET = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'
/** The offsets at which a connection stands between two messages. */
const EXCHANGES: readonly { name: string; bytes: string; ends: readonly number[] }[] = [
  { name: 'GET', bytes: GET, ends: [] },
  { name: 'POST', bytes: 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789', ends: [] },
  {
    name: 'chunked POST with a trailer',
    bytes:
      'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
    ends: [],
  },
  {
    name: 'pipelined pair',
    bytes: `${GET}POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz`,
    ends: [GET.length],
  },
]

interface Pair {
  readonly client: Socket
  readonly socket: Socket
  readonly start: number
}

async function serve(t: Teardown, server: Server): Promise<(before?: string) => Promise<Pair>> {
  const accepted = new Map<number, { socket: Socket; start: number }>()
  server.on('connection', (socket: Socket) => {
    accepted.set(socket.remotePort!, { socket, start: socket.bytesRead })
  })
  server.keepAliveTimeout = scaled(60_000)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return async (before = '') => {
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
    client.on('error', () => undefined)
    t.teardown(() => client.destroy())
    await once(client, 'connect')
    await until(() => accepted.has(client.localPort!), 'the connection at the server')
    const pair = { client, ...accepted.get(client.localPort!)! }
    if (before !== '') {
      client.write(before)
      await until(() => pair.socket.bytesRead === before.length, 'the first request')
      await until(() => isAtBoundary(pair.socket, pair.start), 'the end of the first response')
    }
    return pair
  }
}

const answering = () =>
  createServer((request, response) => {
    request.resume()
    request.on('end', () => response.end('ok'))
  })

t.test('a connection stands between two messages where a message has ended, and nowhere else', async (t) => {
  const open = await serve(t, answering())
  for (const before of ['', GET])
    for (const { name, bytes, ends } of EXCHANGES) {
      const wrong: string[] = []
      for (let cut = 0; cut <= bytes.length; cut++) {
        const { client, socket, start } = await open(before)
        client.write(bytes.slice(0, cut))
        await until(() => socket.bytesRead === before.length + cut, `${cut} bytes of ${name}`)
        const expected = cut === 0 || cut === bytes.length || ends.includes(cut)
        // A response takes a turn or two; half a request stays what it is.
        if (expected) await until(() => isAtBoundary(socket, start), `the boundary at ${cut} of ${name}`)
        else for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        if (isAtBoundary(socket, start) !== expected) wrong.push(`${name} cut at ${cut}`)
        if (isParsing(socket, start) === expected) wrong.push(`${name} parsed at ${cut}`)
        client.destroy()
      }
      t.same(wrong, [], `${name}${before === '' ? '' : ' after another request'}`)
    }
})

t.test('why it does not', async (t) => {
  const responses: ServerResponse[] = []
  const server = createServer((_request, response) => responses.push(response))
  server.on('upgrade', (_request, socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
  )
  server.on('connect', (_request, socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
  const open = await serve(t, server)
  const why = async (bytes: string, reason: RegExp): Promise<Pair> => {
    const pair = await open()
    pair.client.write(bytes)
    await until(
      () => reason.test(whyNotAtBoundary(pair.socket, pair.start) ?? ''),
      () => `${reason}, not ${whyNotAtBoundary(pair.socket, pair.start)}`,
    )
    return pair
  }
  const { socket, start } = await why(GET, /^a response is in progress$/)
  t.notOk(isParsing(socket, start), 'the request of it is complete')
  await why(GET.slice(0, -1), /^half a request has come$/)
  await why(
    'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
    /^a response is in progress$/,
  )
  await why('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', /another protocol/)
  await why('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', /another protocol/)
  const paused = await open()
  paused.socket.pause()
  t.equal(whyNotAtBoundary(paused.socket, paused.start), 'it is paused')
  paused.socket.resume()
  t.equal(whyNotAtBoundary(paused.socket, paused.start), undefined)
  // More than the kernel takes of a client that does not read.
  paused.socket.write('x'.repeat(20_000_000))
  t.equal(whyNotAtBoundary(paused.socket, paused.start), 'output is still to be sent')
  paused.socket.end()
  t.equal(whyNotAtBoundary(paused.socket, paused.start), 'it is closing')
  for (const response of responses) response.end()
  await until(() => isAtBoundary(socket, start), 'the end of the response')
})

t.test('a server that does not listen keeps no list: nothing is guessed of its connections', async (t) => {
  const server = createServer((_request, response) => response.end('ok'))
  const front = createFront((socket) => server.emit('connection', socket)).listen(0, '127.0.0.1')
  await once(front, 'listening')
  const client = connect((front.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  client.write(GET)
  await once(client, 'data')
  t.match(whyNotAtBoundary(socket, 0), /keeps no list of http parsers/)
  t.ok(isParsing(socket, 0))
  client.destroy()
  front.close()
})

t.test('reading is held without a pause the app could see', async (t) => {
  const open = await serve(t, answering())
  const { client, socket, start } = await open(GET)
  holdReads(socket)
  t.equal(socket.isPaused(), false)
  client.write(GET)
  const other = await open(GET)
  t.ok(isAtBoundary(socket, start), 'a later connection has been served, this one has not been read')
  t.equal(socket.bytesRead, GET.length)
  letRead(socket)
  await until(() => socket.bytesRead === 2 * GET.length && isAtBoundary(socket, start), 'the second request')
  other.client.destroy()
})

t.test("a connection that has moved is none of its server's any more", async (t) => {
  const server = createServer({ headersTimeout: 50, requestTimeout: 50, connectionsCheckingInterval: 10 })
  const errors: string[] = []
  server.on('clientError', (error, socket) => {
    errors.push(error.message)
    socket.destroy()
  })
  const open = await serve(t, server)
  const gone = await open()
  const count = () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
  t.equal(await count(), 1)
  abandon(gone.socket, new Map())
  t.equal(await count(), 0)
  // One that has stayed times out after it.
  const stayed = await open()
  await once(stayed.client, 'close')
  t.equal(errors.length, 1, 'only the one that has stayed')
})

t.test('an adopted socket is counted until it is closed', async (t) => {
  const server = createServer()
  const adopted = new Socket()
  const count = () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
  countConnection(server, adopted)
  countConnection(server, adopted)
  t.equal(await count(), 1, 'once')
  adopted.destroy()
  t.equal(await count(), 0)
})
