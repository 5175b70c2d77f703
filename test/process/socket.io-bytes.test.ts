/** An exchange that is cut at each of its bytes, and upgraded there: the client hears what it would have heard. */
import t from 'tap'
import { RawPolling } from '../harness/raw-polling.js'
import { BINARY, frame, PING, RawWebSocket, TEXT } from '../harness/raw-websocket.js'
import { Hall } from '../harness/socket.io.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(120_000))

const PATH = '/socket.io/?EIO=4&transport=websocket'

/** What a client says that is in two namespaces already: text, fragments, attachments, one more namespace. */
const EXCHANGE = Buffer.concat([
  frame(TEXT, '421["echo","one"]'),
  frame(TEXT, '422["ec', { fin: false }),
  frame(PING, 'p'),
  frame(0, 'ho","two"]'),
  frame(TEXT, '452-3["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'),
  frame(BINARY, Buffer.from([1, 2, 3])),
  frame(BINARY, Buffer.alloc(130, 5)),
  frame(TEXT, '42/admin,4["echo","four"]'),
  frame(TEXT, '3'),
  frame(TEXT, '40/room-1,'),
])

/** Nobody pings meanwhile. */
const QUIET = { args: ['--io', JSON.stringify({ pingInterval: 600_000, pingTimeout: 600_000 })] }

async function enter(port: number): Promise<RawWebSocket> {
  const client = await RawWebSocket.open({ port, path: PATH })
  client.send(frame(TEXT, '40'), frame(TEXT, '40/admin,{"key":"sesame"}'))
  await client.gets(3)
  return client
}

const heardBy = (client: RawWebSocket): string[] =>
  client.frames
    .slice(3)
    .map(({ opcode, payload }) => `${opcode} ${payload.toString('latin1').replace(/"sid":"[^"]+"/, '"sid":"…"')}`)

for (const ending of ['aborted', 'committed'] as const) {
  t.test(`a WebSocket cut at each byte; the upgrade is ${ending}`, async (t) => {
    const hall = await Hall.start(t, QUIET)
    const { port } = hall
    const reference = await enter(port)
    reference.send(EXCHANGE)
    await reference.gets(3 + 8)
    const expected = heardBy(reference).sort()
    t.ok(expected.includes('1 431["one"]') && expected.includes('10 p'), 'the exchange is what it should be', {
      expected,
    })
    const clients: RawWebSocket[] = []
    for (let at = 0; at <= EXCHANGE.length; at++) clients.push(await enter(port))
    for (const [at, client] of clients.entries()) if (at > 0) client.send(EXCHANGE.subarray(0, at))
    // When this has been answered, what was sent before has been read.
    const guest = await hall.enter('websocket')
    await guest.ask('echo', 'read')
    if (ending === 'aborted') await hall.abortedUpgrade()
    else {
      const { json, lines } = await hall.supervisor.upgrade()
      t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'committed', { lines })
    }
    for (const [at, client] of clients.entries()) if (at < EXCHANGE.length) client.send(EXCHANGE.subarray(at))
    for (const [at, client] of clients.entries()) {
      await client.gets(3 + expected.length)
      const heard = heardBy(client)
      // A namespace is joined in a later turn: its answer has no fixed place.
      t.same(heard.sort(), expected, `cut at ${at}`)
      t.equal(client.ended, false)
      client.socket.destroy()
    }
    t.equal((await hall.supervisor.stop()).exitCode, 0)
  })
}

for (const ending of ['aborted', 'committed'] as const) {
  t.test(`requests of a polling client cut at each byte; the upgrade is ${ending}`, async (t) => {
    const hall = await Hall.start(t, QUIET)
    const clients: {
      client: RawPolling
      bytes: Buffer
      at: number
      connection: ReturnType<RawPolling['connection']>
    }[] = []
    for (const method of ['GET', 'POST'] as const) {
      const { length } = (await RawPolling.open(hall.port)).bytesOf(method, '421["echo","one"]')
      for (let at = 0; at <= length; at++) {
        const client = await RawPolling.open(hall.port)
        const bytes = client.bytesOf(method, method === 'POST' ? '421["echo","one"]' : '')
        if (at > bytes.length) break
        const connection = client.connection()
        connection.send(bytes.subarray(0, at))
        clients.push({ client, bytes, at, connection })
      }
    }
    const guest = await hall.enter('websocket')
    await guest.ask('echo', 'read')
    // The predecessor waits for requests of which a part has come.
    const upgrading = ending === 'committed' ? hall.supervisor.upgrade() : hall.abortedUpgrade()
    if (ending === 'aborted') await upgrading
    else await hall.supervisor.child.line(/^ready release=1 generation=2/)
    for (const { bytes, at, connection } of clients) connection.send(bytes.subarray(at))
    for (const { client, bytes, at, connection } of clients) {
      const isPost = bytes.toString().startsWith('POST')
      if (!isPost) await client.post('421["echo","one"]')
      const answer = await connection.answer()
      if (isPost) t.equal(answer, 'ok')
      else for (const packet of answer.split('\x1e')) if (packet !== '6') client.packets.push(packet)
      const packets = await client.polls(2)
      t.same(packets.slice(1), ['431["one"]'], `${isPost ? 'POST' : 'GET'} cut at ${at}`)
    }
    const { json, lines } = (await upgrading) ?? {}
    if (ending === 'committed')
      t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'committed', { lines })
    t.equal((await hall.supervisor.stop()).exitCode, 0)
  })
}
