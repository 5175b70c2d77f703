/** Event streams through upgrades: aborted first, then committed. */
import t from 'tap'
import { descriptorSorts } from '../harness/census.js'
import { type Client, chunkOf, dechunk, EventServer, idsOf, SSE_SERVER, waitFor } from '../harness/event-streams.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))
// Each has a supervisor of its own, and waits most of the time.
t.jobs = 3

t.test(
  'a stream goes on: what it was sent, its last id, its end, and the next request of its connection',
  async (t) => {
    const server = await EventServer.start(t)
    const client = await server.stream('one')
    const event = (id: number, data: string): string => chunkOf(`id: ${id}\ndata: ${data}\n\n`)
    const send = (id: number, data: string) => server.ask(`/send?name=one&id=${id}&data=${data}`)
    await send(1, 'before')
    await client.gets(event(1, 'before'))
    t.equal((await server.abortedUpgrade()).exitCode, 3)
    await send(2, 'aborted')
    const { exitCode, json } = await server.supervisor.upgrade('--', 'node', SSE_SERVER, '--release', '2')
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', sessions: { moved: 1, dropped: 0, refused: 0 } })
    t.match(await server.ask('/look?name=one'), { lastEventId: '2', open: true })
    await send(3, 'after')
    await client.gets(event(3, 'after'))
    t.equal(client.body, event(1, 'before') + event(2, 'aborted') + event(3, 'after'))
    client.send('GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
    await server.ask('/close?name=one')
    await client.gets('{"path":"/next","generation":3}\n')
    t.ok(client.body.includes(`${event(3, 'after')}0\r\n\r\nHTTP/1.1 200 OK\r\n`))
    client.send('GET /again HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    await client.gets('{"path":"/again","generation":3}\n')
    await client.isEnded()
    t.same(server.said('close'), [
      'close generation=1 name=saboteur reason=client',
      'close generation=3 name=one reason=closed',
    ])
    t.equal((await server.supervisor.stop()).exitCode, 0)
  },
)

t.test('under load, five in a row: no event is lost or doubled', async (t) => {
  const server = await EventServer.start(t, { args: ['--tick', '10'] })
  const clients = await Promise.all(Array.from({ length: 100 }, (_, index) => server.stream(`s${index}`, '&ticks=1')))
  const lengths = () => clients.map((client) => idsOf(dechunk(client.body)).length)
  for (let upgrade = 1; upgrade <= 5; upgrade++) {
    const { exitCode, json } = await server.supervisor.upgrade()
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', sessions: { moved: 100, dropped: 0, refused: 0 } })
    t.equal(await server.ask('/broadcast?data=all'), 100)
  }
  const { count } = (await server.ask('/look?name=s0')) as { count: number }
  for (const client of clients) await client.gets(`id: ${count}\n`)
  t.ok(Math.min(...lengths()) >= 25, `at least ${Math.min(...lengths())} events each`)
  for (const client of clients) {
    const text = dechunk(client.body)
    const ids = idsOf(text)
    if (ids.some((id, index) => id !== index + 1)) t.fail(`wrong order: ${ids}`)
    if (text.split('data: all\n').length !== 6) t.fail('a broadcast was lost or doubled')
    if (new Set(text.match(/"generation":\d/g)).size < 5) t.fail('not served by all generations')
  }
  for (const client of clients) client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

for (const framework of ['express', 'fastify', 'koa'] as const) {
  t.test(`${framework}: a stream moves, and its connection goes on`, async (t) => {
    const args = ['--framework', framework, '--tick', '10']
    const server = await EventServer.start(t, { args })
    const client = await server.stream('one', '&ticks=1')
    await client.gets('id: 3\n')
    const { exitCode, json } = await server.supervisor.upgrade()
    t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0, refused: 0 } } })
    await client.gets('"generation":2}\n\n')
    await server.ask('/close?name=one')
    await client.gets('\r\n0\r\n\r\n')
    const ids = idsOf(client.body)
    t.same(
      ids,
      ids.map((_, index) => index + 1),
    )
    client.send('GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.gets('"path":"/next"')
    t.match(client.received, /^content-type: text\/event-stream\r$/im)
    t.match(client.received, /^cache-control: no-cache, no-transform\r$/im)
    client.socket.destroy()
    t.equal((await server.supervisor.stop()).exitCode, 0)
  })
}

t.test('responses that end with their connection: HTTP/1.0, Connection: close, no server to go on with', async (t) => {
  const server = await EventServer.start(t, { args: ['--unserved'] })
  const old = await server.stream('old', '', '1.0')
  const last = server.client()
  last.send('GET /events?name=last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await last.gets('\r\n\r\n')
  const unserved = await server.stream('unserved')
  const all = { old, last, unserved }
  const send = async (data: string) => {
    for (const name of Object.keys(all)) t.equal(await server.ask(`/send?name=${name}&data=${data}`), true)
  }
  await send('a')
  t.equal((await server.abortedUpgrade()).exitCode, 3)
  await send('b')
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  await send('c')
  for (const name of Object.keys(all)) await server.ask(`/close?name=${name}`)
  for (const client of Object.values(all)) await client.isEnded()
  const events = ['a', 'b', 'c'].map((data) => `data: ${data}\n\n`)
  const chunked = `${events.map(chunkOf).join('')}0\r\n\r\n`
  t.equal(old.body, events.join(''), 'without chunks')
  t.equal(last.body, chunked)
  t.equal(unserved.body, chunked)
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a connection whose stream has ended moves on, and serves the next request in any generation', async (t) => {
  const server = await EventServer.start(t)
  const client = await server.stream('one')
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  await server.ask('/close?name=one')
  await client.gets('0\r\n\r\n')
  const { exitCode, json } = await server.supervisor.upgrade()
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0, drained: 0 } } })
  client.send('GET /events?name=two HTTP/1.1\r\nHost: x\r\n\r\n')
  await waitFor(async () => (await server.ask('/look?name=two')) !== null, 'the next stream')
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  t.equal(await server.ask('/send?name=two&data=there'), true)
  await client.gets('data: there\n\n')
  t.same(server.said('close'), ['close generation=2 name=one reason=closed'])
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a request that has begun on a connection whose stream has ended is not cut in two', async (t) => {
  const server = await EventServer.start(t, { args: ['--http'] })
  const client = await server.stream('one')
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  client.send('GET /half')
  await server.ask('/close?name=one')
  await client.gets('0\r\n\r\n')
  const from = server.supervisor.child.lines.length
  const upgrade = server.supervisor.upgrade()
  await server.supervisor.child.line(/"generation":3.*"msg":"serving"/, from)
  client.send(' HTTP/1.1\r\nHost: x\r\n\r\n')
  await client.gets('{"path":"/half","generation":2}\n')
  t.match(await upgrade, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0 } } })
  client.send('GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
  await client.gets('{"path":"/next","generation":3}\n')
  client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a client that does not read: everything arrives, in order, through two upgrades', async (t) => {
  const server = await EventServer.start(t, { args: ['--queue', '50000000'] })
  const client = await server.stream('one')
  client.socket.pause()
  const fill = (count: number) => server.ask(`/fill?name=one&count=${count}&size=10000`)
  t.equal(await fill(2000), false, 'the server is told to slow down')
  t.equal((await server.abortedUpgrade()).exitCode, 3)
  t.equal(await fill(10), false)
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  t.equal(await fill(10), false)
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  t.equal(await fill(10), false)
  client.socket.resume()
  await server.supervisor.child.line(/^drain generation=4 name=one$/)
  await server.ask('/close?name=one')
  await client.gets('\n0\r\n\r\n')
  const event = (index: number): string => chunkOf(`id: ${index + 1}\ndata: ${'x'.repeat(10_000)}\n\n`)
  t.ok(client.body === `${Array.from({ length: 2030 }, (_, index) => event(index)).join('')}0\r\n\r\n`)
  t.same(server.said('drain'), ['drain generation=4 name=one'])
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a stream that was closed while its client did not read ends where it has moved to', async (t) => {
  const server = await EventServer.start(t, { args: ['--queue', '50000000'] })
  const client = await server.stream('one')
  client.socket.pause()
  await server.ask('/fill?name=one&count=1000&size=10000')
  await server.ask('/close?name=one')
  client.send('GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
  t.same(server.said('close'), [], 'it has not ended yet')
  t.match(await server.supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: 1, drained: 0 } } })
  await server.supervisor.child.line(/^close generation=2 name=one reason=closed$/)
  client.socket.resume()
  await client.gets('{"path":"/next","generation":2}\n')
  const event = (index: number): string => chunkOf(`id: ${index + 1}\ndata: ${'x'.repeat(10_000)}\n\n`)
  t.ok(client.body.startsWith(`${Array.from({ length: 1000 }, (_, index) => event(index)).join('')}0\r\n\r\nHTTP/1.1 `))
  client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a stream behind an earlier response of its connection follows when that is sent', async (t) => {
  const server = await EventServer.start(t)
  const client = server.client()
  client.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  client.send('GET /events?name=one HTTP/1.1\r\nHost: x\r\n\r\n')
  await waitFor(async () => (await server.ask('/look?name=one')) !== null, 'the stream')
  await server.ask('/send?name=one&data=early')
  // The successor cannot let the earlier response go: the request for that must reach this process.
  const go = server.client()
  go.send('GET /go HTTP/1.1\r\nHost: x')
  const upgrade = server.supervisor.upgrade()
  await server.supervisor.child.line(/"generation":2.*"msg":"serving"/)
  go.send('\r\nConnection: close\r\n\r\n')
  await client.gets('slow\n')
  const { exitCode, json } = await upgrade
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0 } } })
  t.match(JSON.stringify(json?.reasons), /an earlier response is not sent yet/)
  t.equal(await server.ask('/send?name=one&data=late'), true)
  await client.gets('data: late\n\n')
  t.ok(client.received.endsWith(chunkOf('data: early\n\n') + chunkOf('data: late\n\n')))
  client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a client that leaves too much untaken is cut off, in the process that serves it then', async (t) => {
  const server = await EventServer.start(t, { args: ['--queue', '5000000'] })
  const client = await server.stream('one')
  client.socket.pause()
  await server.ask('/fill?name=one&count=400&size=8000')
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  t.match(await server.ask('/look?name=one'), { open: true })
  await server.ask('/fill?name=one&count=3000&size=8000')
  await server.supervisor.child.line(/^close generation=2 name=one reason=slow$/)
  client.socket.resume()
  await client.isEnded()
  const ids = idsOf(client.body)
  t.ok(ids.length < 3400, 'the last it gets is before the last it was sent')
  t.same(
    ids,
    ids.map((_, index) => index + 1),
    'and nothing is missing in between',
  )
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('the client ends: it is heard once, where it is served', async (t) => {
  const server = await EventServer.start(t)
  const ways: Record<string, (client: Client) => void> = {
    fin: ({ socket }) => void socket.end(),
    rst: ({ socket }) => void socket.resetAndDestroy(),
    behind: ({ socket }) => void socket.end('GET /next HTTP/1.1\r\n'),
  }
  const clients = new Map<string, Client>()
  for (const way of Object.keys(ways))
    for (const round of [1, 2, 3]) clients.set(`${way}${round}`, await server.stream(`${way}${round}`))
  const leave = async (round: number, generation: number) => {
    for (const [way, go] of Object.entries(ways)) go(clients.get(`${way}${round}`)!)
    for (const way of Object.keys(ways))
      await server.supervisor.child.line(
        new RegExp(`^close generation=${generation} name=${way}${round} reason=client$`),
      )
  }
  await leave(1, 1)
  t.equal((await server.abortedUpgrade()).exitCode, 3)
  await leave(2, 1)
  t.match(await server.supervisor.upgrade(), { json: { sessions: { moved: 3, dropped: 0, drained: 0 } } })
  await leave(3, 3)
  await clients.get('fin3')!.isEnded()
  t.match(await server.ask('/who'), { streams: 0 })
  t.equal(server.said('close').length, 10, 'each once')
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('what cannot move at the freeze says why, and follows when it can', async (t) => {
  const server = await EventServer.start(t)
  const half = server.client()
  half.send('POST /events?name=half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345')
  await half.gets('\r\n\r\n')
  const together = server.client()
  together.send('GET /events?name=together HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHo')
  await together.gets('\r\n\r\n')
  const from = server.supervisor.child.lines.length
  const upgrade = server.supervisor.upgrade()
  await server.supervisor.child.line(/^ready .* generation=2 /, from)
  half.send('67890')
  const look = async (name: string) => (await server.ask(`/look?name=${name}`)) !== null
  await waitFor(() => look('half'), 'the stream whose request was half')
  await server.ask('/send?name=half&data=there')
  await half.gets('data: there\n\n')
  t.equal(await look('together'), false)
  // In the predecessor the parser has half of its next request; when the client goes, nothing is left to wait for.
  together.socket.destroy()
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, { sessions: { moved: 1, drained: 1, dropped: 0 } })
  t.match(JSON.stringify(json?.reasons), /the next request has come together with this one/)
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('a stream the app holds follows when it is let go', async (t) => {
  const server = await EventServer.start(t)
  const client = await server.stream('one')
  await server.ask('/hold?name=one')
  const go = server.client()
  go.send('GET /go HTTP/1.1\r\nHost: x')
  const upgrade = server.supervisor.upgrade()
  await server.supervisor.child.line(/"generation":2.*"msg":"serving"/)
  t.equal(await server.ask('/look?name=one'), null)
  go.send('\r\nConnection: close\r\n\r\n')
  const { exitCode, json } = await upgrade
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0 } } })
  t.match(JSON.stringify(json?.reasons), /the app holds it/)
  t.equal(await server.ask('/send?name=one&data=late'), true)
  await client.gets('data: late\n\n')
  client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('requests that get no stream: HEAD, and a client that has gone before it is answered', async (t) => {
  const server = await EventServer.start(t)
  const head = server.client()
  head.send('HEAD /events?name=head HTTP/1.1\r\nHost: x\r\n\r\n')
  await server.supervisor.child.line(/^close generation=1 name=head reason=closed$/)
  head.send('GET /next HTTP/1.1\r\nHost: x\r\n\r\n')
  await head.gets('{"path":"/next","generation":1}\n')
  t.match(head.received, /content-type: text\/event-stream/i)
  t.match(head.body, /^HTTP\/1\.1 200 OK/, 'without a body')
  const gone = server.client()
  gone.send('GET /gone?name=gone HTTP/1.1\r\nHost: x\r\n\r\n')
  gone.socket.end()
  await server.supervisor.child.line(/^close generation=1 name=gone reason=client$/)
  t.match(await server.ask('/who'), { streams: 0 })
  head.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('heartbeats go on', async (t) => {
  const server = await EventServer.start(t, { args: ['--heartbeat', '200', '--retry', '1234'] })
  const client = await server.stream('one')
  const BEAT = chunkOf(':\n\n')
  const beats = () => client.body.split(BEAT).length - 1
  const more = async () => {
    const count = beats() + 3
    await waitFor(async () => beats() >= count, `heartbeat ${count}`)
  }
  await more()
  t.equal((await server.abortedUpgrade()).exitCode, 3)
  await more()
  t.equal((await server.supervisor.upgrade()).exitCode, 0)
  await more()
  t.equal(client.body.replaceAll(BEAT, ''), chunkOf('retry: 1234\n\n'), 'once told, and nothing else')
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

for (const args of [['--precopy'], ['--independent']]) {
  t.test(`under load ${args}`, async (t) => {
    const server = await EventServer.start(t, { args: [...args, '--tick', '10'] })
    const clients = await Promise.all(Array.from({ length: 60 }, (_, index) => server.stream(`s${index}`, '&ticks=1')))
    for (let upgrade = 1; upgrade <= 2; upgrade++) {
      const { exitCode, json } = await server.supervisor.upgrade()
      t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 60, dropped: 0, refused: 0 } } })
    }
    for (const client of clients) await client.gets('"generation":3}')
    for (const client of clients) {
      const ids = idsOf(dechunk(client.body))
      if (ids.some((id, index) => id !== index + 1)) t.fail(`wrong order: ${ids}`)
      client.socket.destroy()
    }
    t.equal((await server.supervisor.stop()).exitCode, 0)
  })
}

t.test('nothing is left behind', async (t) => {
  const server = await EventServer.start(t)
  const runtime = async () => descriptorSorts(((await server.ask('/who')) as { pid: number }).pid)
  await server.supervisor.upgrade()
  const before = JSON.stringify(await runtime())
  for (let round = 1; round <= 2; round++) {
    const clients = await Promise.all(Array.from({ length: 30 }, (_, index) => server.stream(`s${index}`)))
    t.equal((await server.abortedUpgrade()).exitCode, 3)
    t.match(await server.supervisor.upgrade(), { exitCode: 0, json: { sessions: { moved: 30 } } })
    for (const client of clients) client.socket.destroy()
  }
  await waitFor(async () => JSON.stringify(await runtime()) === before, 'as many descriptors as before')
  t.match(await server.ask('/who'), { streams: 0 })
  t.equal((await server.supervisor.stop()).exitCode, 0)
})
