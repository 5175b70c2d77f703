/** HTTP connections that have something under way when the upgrade comes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { RawClient, Web } from '../harness/http.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const GET = 'GET /echo HTTP/1.1\r\nHost: a\r\n\r\n'
const BIG = 'GET /big?bytes=20000000 HTTP/1.1\r\nHost: a\r\n\r\n'
const KEPT = ['--server', '{"keepAliveTimeout":600000}']
const READY_2 = /^ready .* generation=2 /

async function ends(t: Test, web: Web): Promise<void> {
  t.same((await web.who()).errors, [])
  t.equal((await web.supervisor.stop()).exitCode, 0)
  t.same(web.supervisor.processes(), [])
}

t.test(
  'a response in progress ends in the predecessor, and its connection moves before the next request',
  async (t) => {
    const web = await Web.start(t, KEPT)
    const client = await RawClient.open(web)
    const closing = await RawClient.open(web)
    const gate = join(web.supervisor.directory, 'gate')
    client.send(`GET /gate?path=${gate} HTTP/1.1\r\nHost: a\r\n\r\n`)
    closing.send(`GET /gate?path=${gate} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    await until(() => [client, closing].every(({ received }) => received.endsWith('half ')), 'both halves')
    const upgrade = web.upgrade()
    await web.supervisor.child.line(READY_2)
    t.equal((await web.who()).generation, 2)
    writeFileSync(gate, '')
    const [response] = await client.responses(1)
    t.match(response, { generation: 1, body: 'half whole' })
    t.match(response?.text, /Connection: keep-alive/, 'it is not told to close')
    await closing.ended()
    t.match(closing.received, /Connection: close\r\n(.|\s)*half whole$/, 'a client that asked for it is')
    t.match(await upgrade, {
      outcome: 'committed',
      sessions: { moved: 1, drained: 1, dropped: 0, refused: 0 },
      followed: { sessions: 1 },
      reasons: [
        { of: 'held', kind: 'http', reason: 'a response is in progress', count: 2 },
        { of: 'drained', kind: 'http', count: 1 },
      ],
    })
    t.match(await client.request(GET), { generation: 2 })
    await ends(t, web)
  },
)

t.test('a request that was answered before all of it had come: the connection moves when it has', async (t) => {
  const web = await Web.start(t, KEPT)
  const [before, during] = [await RawClient.open(web), await RawClient.open(web)] as const
  const body = 'x'.repeat(300_000)
  const head = `POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`
  t.match(await before.request(head + body.slice(0, 5)), { generation: 1, body: 'not read' })
  during.send(head.slice(0, 30))
  await web.hasRead([during, 30])
  const upgrade = web.upgrade()
  await web.supervisor.child.line(READY_2)
  during.send(head.slice(30) + body.slice(0, 5))
  const [response] = await during.responses(1)
  t.equal(response?.body, 'not read')
  for (const client of [before, during]) client.send(body.slice(5) + GET)
  for (const client of [before, during]) t.match(await client.responses(1), [{ status: 200, body: '' }])
  t.match(await upgrade, { outcome: 'committed', sessions: { moved: 2, drained: 0, dropped: 0 } })
  for (const client of [before, during]) t.match(await client.request(GET), { generation: 2 })
  await ends(t, web)
})

t.test('a client that reads slowly gets all of its response from the predecessor, and moves', async (t) => {
  const web = await Web.start(t, KEPT)
  const client = await RawClient.open(web, { paused: true })
  client.send(BIG)
  await web.hasRead([client, BIG.length])
  const upgrade = web.upgrade()
  await web.supervisor.child.line(READY_2)
  client.socket.resume()
  const [response] = await client.responses(1)
  t.equal(response?.body.length, 20_000_000)
  t.equal(response?.generation, 1)
  t.match(await upgrade, {
    sessions: { moved: 1, drained: 0, dropped: 0 },
    reasons: [{ of: 'held', reason: 'a response is in progress' }],
  })
  t.match(await client.request(GET), { generation: 2 })
  await ends(t, web)
})

t.test(
  'an upgraded connection and a tunnel are served by the predecessor to their end, or to the deadline',
  async (t) => {
    const web = await Web.start(t, KEPT, { options: ['--drain', `${scaled(2_000)}ms`] })
    const heads = [
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
      'CONNECT b:1 HTTP/1.1\r\nHost: b\r\n\r\n',
    ]
    const tunnels = await Promise.all(heads.map(() => RawClient.open(web)))
    for (const [index, tunnel] of tunnels.entries()) {
      tunnel.send(heads[index] as string)
      await until(() => tunnel.received.endsWith('\r\n\r\n'), 'the tunnel')
      tunnel.received = ''
    }
    const upgrade = web.upgrade()
    await web.supervisor.child.line(READY_2)
    for (const tunnel of tunnels) tunnel.send('hello')
    await until(() => tunnels.every(({ received }) => received === 'hello'), 'the echo')
    tunnels[2]?.socket.end()
    const { sessions, reasons } = await upgrade
    t.match(sessions, { moved: 0, drained: 1, dropped: 2 })
    t.match(reasons, [
      { of: 'held', kind: 'http', count: 3, reason: /^it was upgraded, or is a CONNECT tunnel/ },
      { of: 'drained', count: 1 },
      { of: 'dropped', count: 2, reason: /CONNECT tunnel.* and still open after/ },
    ])
    for (const tunnel of tunnels) await tunnel.ended()
    await ends(t, web)
  },
)

t.test('a tunnel that is a session of its own kind moves as that', async (t) => {
  const web = await Web.start(t, [...KEPT, '--tunnels'])
  const tunnel = await RawClient.open(web)
  tunnel.send('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nearly ')
  await until(() => tunnel.received.endsWith('\r\n\r\nearly '), 'the tunnel')
  tunnel.received = ''
  for (let generation = 2; generation <= 3; generation++) {
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 1, drained: 0, dropped: 0 }, reasons: [] })
    tunnel.send(`hello ${generation} `)
    await until(() => tunnel.received.endsWith(`hello ${generation} `), 'the echo')
  }
  t.match((await web.supervisor.status()).json, {
    generations: [{ state: 'serving', sessions: { tunnel: 1, http: 0 } }],
  })
  await ends(t, web)
})

t.test('a server that is not given to http() is drained, as before', async (t) => {
  const web = await Web.start(t, [...KEPT, '--plain'])
  const client = await RawClient.open(web)
  await client.request(GET)
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 0 } })
  await client.ended()
  await ends(t, web)
})

t.test('five in a row: the connection, its count and the descriptors are as they were', async (t) => {
  const web = await Web.start(t, KEPT)
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(web)))
  for (const client of clients.slice(10)) await client.request(GET)
  const before = await web.census()
  for (let generation = 2; generation <= 6; generation++) {
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 20, drained: 0, dropped: 0 }, reasons: [] })
    t.match(await web.who(), { generation, connections: 21 })
    // Some are used once in each generation, some never.
    for (const client of clients.slice(5, 15)) t.match(await client.request(GET), { generation, status: 200 })
    t.same(await web.censusLike(before), before)
  }
  for (const client of clients) t.match(await client.request(GET), { generation: 6 })
  for (const { socket } of clients) socket.destroy()
  await ends(t, web)
})
