/** Event streams through upgrades: aborted first, then committed. */
import t from 'tap'
import { chunkOf, dechunk, EventServer, idsOf, SSE_SERVER } from '../harness/event-streams.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

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
  const server = await EventServer.start(t)
  const clients = await Promise.all(Array.from({ length: 200 }, (_, index) => server.stream(`s${index}`, '&ticks=1')))
  const lengths = () => clients.map((client) => idsOf(dechunk(client.body)).length)
  for (let upgrade = 1; upgrade <= 5; upgrade++) {
    const { exitCode, json } = await server.supervisor.upgrade()
    t.equal(exitCode, 0)
    t.match(json, { outcome: 'committed', sessions: { moved: 200, dropped: 0, refused: 0 } })
    t.equal(await server.ask('/broadcast?data=all'), 200)
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
