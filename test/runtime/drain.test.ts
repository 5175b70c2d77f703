import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { drain, type Left } from '../../src/runtime/drain.js'

const NOTHING_LEFT: Left = {
  size: 0,
  sockets: [],
  has: () => false,
  stayOf: () => undefined,
  followed: { sessions: 0, pauseMs: null },
  onStop: () => undefined,
  force: async () => undefined,
  forced: [],
  onMoved: () => undefined,
  onOpened: () => undefined,
  onEnded: () => undefined,
}

/** The server's ends of some connections, and the clients'. */
async function connections(t: Test, count: number): Promise<{ sockets: Socket[]; clients: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.resume())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients: Socket[] = []
  while (clients.length < count) {
    const accepted = once(server, 'connection')
    const client = connect(port, '127.0.0.1').resume()
    await Promise.all([once(client, 'connect'), accepted])
    clients.push(client)
  }
  server.close()
  t.teardown(() => {
    for (const socket of [...sockets, ...clients]) socket.destroy()
  })
  return { sockets, clients }
}

t.test('nothing to drain', async (t) => {
  t.same(await drain(new Set(), 10_000), { drained: 0, dropped: 0, reasons: [] })
})

t.test("what was destroyed just before is not counted, though its 'close' is still to come", async (t) => {
  const { sockets } = await connections(t, 1)
  const [socket] = sockets as [Socket]
  socket.destroy()
  t.same(await drain(new Set(sockets), 10_000), { drained: 0, dropped: 0, reasons: [] })
})

t.test('what ends by itself is drained, what does not is dropped', async (t) => {
  const { sockets, clients } = await connections(t, 3)
  const ended = once(clients[1]!, 'end')
  const drained = drain(new Set(sockets), 50)
  clients[0]!.end()
  const { reasons, ...counts } = await drained
  t.same(counts, { drained: 1, dropped: 2 })
  t.match(reasons, [
    { count: 1, reason: /served to its end/ },
    { count: 2, reason: /after 50 ms of drain/ },
  ])
  await ended
})

t.test('one that is paused over unread bytes is read to its end, and closes as soon as the client does', async (t) => {
  const { sockets, clients } = await connections(t, 1)
  const [client] = clients as [Socket]
  let error: Error | undefined
  client.on('error', (caught) => (error = caught))
  sockets[0]!.pause()
  sockets[0]!.write('last words')
  // More than Node reads ahead: the rest is unread in the kernel.
  client.write(Buffer.alloc(500_000))
  const closed = new Promise((resolve) => client.once('close', resolve))
  t.match(await drain(new Set(sockets), 20), { drained: 0, dropped: 1 })
  t.equal(sockets[0]!.bytesRead, 500_000)
  await closed
  t.equal(error, undefined, 'no reset')
  t.equal(client.bytesRead, 10)
})

t.test('what moves is neither; of the others the result says why they are there still', async (t) => {
  const { sockets, clients } = await connections(t, 4)
  const [first, second, third] = sockets as [Socket, Socket, Socket]
  const stays = new Map([
    [second, { kind: 'chat', version: 2, reason: 'restore failed' }],
    [third, { kind: 'chat', version: 2, reason: 'restore failed' }],
  ])
  let stopped = 0
  const sessions = new Set([first, second, third])
  const left: Left = {
    ...NOTHING_LEFT,
    get size() {
      return sessions.size
    },
    sockets: sessions,
    has: (socket) => sessions.has(socket),
    stayOf: (socket) => stays.get(socket),
    onStop: () => void stopped++,
    followed: { sessions: 1, pauseMs: { p50: 1, p99: 1, max: 1 } },
  }
  const drained = drain(new Set(sockets), 300, left)
  sessions.delete(first)
  left.onMoved(first)
  first.destroy()
  second.once('close', () => {
    sessions.delete(second)
    left.onEnded(second, stays.get(second)!)
  })
  clients[1]!.end()
  const { followed, ...rest } = await drained
  t.equal(stopped, 1)
  t.match(followed, { sessions: 1 })
  t.same(rest, {
    drained: 1,
    dropped: 2,
    reasons: [
      { kind: 'chat', version: 2, count: 1, reason: 'it had not moved: served to its end by the predecessor' },
      { count: 1, reason: 'not a session, and still open after 300 ms of drain' },
      { kind: 'chat', version: 2, count: 1, reason: 'restore failed, and still open after 300 ms of drain' },
    ],
  })
})

t.test('it ends as soon as everything has moved', async (t) => {
  const { sockets } = await connections(t, 2)
  const [accepted, came] = sockets as [Socket, Socket]
  const sessions = new Set([accepted, came])
  const left: Left = {
    ...NOTHING_LEFT,
    get size() {
      return sessions.size
    },
    has: (socket) => sessions.has(socket),
  }
  const accepts = new Set([accepted])
  const drained = drain(accepts, 1_000_000, left)
  for (const socket of sockets) {
    sessions.delete(socket)
    left.onMoved(socket)
  }
  t.match(await drained, { drained: 0, dropped: 0, reasons: [] })
  t.equal(accepts.size, 0, 'what has moved is no connection of this process')
})

t.test('a session that is none any more is drained like any connection', async (t) => {
  const { sockets, clients } = await connections(t, 1)
  const [socket] = sockets as [Socket]
  const sessions = new Set([socket])
  const left: Left = {
    ...NOTHING_LEFT,
    get size() {
      return sessions.size
    },
    has: (one) => sessions.has(one),
  }
  const drained = drain(new Set(sockets), 1_000_000, left)
  sessions.delete(socket)
  left.onEnded(socket, { kind: 'chat', version: 1, reason: 'busy' })
  clients[0]!.end()
  t.match(await drained, { drained: 1, dropped: 0, reasons: [{ kind: 'chat', count: 1, reason: /served to its end/ }] })
})
