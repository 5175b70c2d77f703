/** Timeouts and limits of an http server go on in the successor from where they were. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { RawClient, Web } from '../harness/http.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const GET = 'GET /echo HTTP/1.1\r\nHost: a\r\n\r\n'
const withLimits = (limits: object): string[] => ['--server', JSON.stringify({ keepAliveTimeout: 600_000, ...limits })]

t.test(
  'no 408 for a connection that is only idle; one that never sent a byte gets it, counted from its opening',
  async (t) => {
    const web = await Web.start(
      t,
      withLimits({
        headersTimeout: scaled(3_000),
        requestTimeout: scaled(3_000),
        connectionsCheckingInterval: scaled(50),
      }),
    )
    const idle = await RawClient.open(web)
    await idle.request(GET)
    const silent = await RawClient.open(web)
    // Accepted: connections are accepted in order.
    await web.who()
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 } })
    const later = await RawClient.open(web)
    await later.ended()
    t.ok(silent.isEnded, 'the one that was opened before is ended before')
    t.match(silent.received, /^HTTP\/1\.1 400 /, "and 'clientError' was asked what to answer")
    t.match(await idle.request(GET), { generation: 2, status: 200 })
    t.same((await web.who()).errors, ['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_HTTP_REQUEST_TIMEOUT'])
    t.equal((await web.supervisor.stop()).exitCode, 0)
  },
)

t.test('the keep-alive timer ends an idle connection in the successor, and no request that takes longer', async (t) => {
  // Node adds a second.
  const web = await Web.start(t, withLimits({ keepAliveTimeout: scaled(2_000) }))
  const [idle, busy] = [await RawClient.open(web), await RawClient.open(web)] as const
  await idle.request(GET)
  await busy.request(GET)
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 } })
  const gate = join(web.supervisor.directory, 'gate')
  busy.send(`GET /gate?path=${gate} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await until(() => busy.received.endsWith('half '), 'the first half')
  // By its end the time is over for whoever was there before it.
  const other = await RawClient.open(web)
  await other.request(GET)
  await other.ended()
  await idle.ended()
  t.same([idle.received, idle.error], ['', undefined], 'the idle one was closed, without a word')
  writeFileSync(gate, '')
  t.match(await busy.responses(1), [{ generation: 2, body: 'half whole' }])
  t.same((await web.who()).errors, [])
  t.equal((await web.supervisor.stop()).exitCode, 0)
})

t.test('maxRequestsPerSocket counts what was before', async (t) => {
  const web = await Web.start(t, withLimits({ maxRequestsPerSocket: 5 }))
  const five = async (client: RawClient, between: () => Promise<unknown>): Promise<string> => {
    const texts: string[] = []
    for (let request = 0; request < 2; request++) texts.push((await client.request(GET)).text)
    await between()
    texts.push((await client.request(GET)).text)
    await between()
    // One more than it may.
    client.send(GET + GET + GET)
    await until(
      () => /503 .*\r\n\r\n0\r\n\r\n$/s.test(client.received),
      () => `the refusal, after ${client.received}`,
    )
    client.socket.destroy()
    return texts.join('') + client.received.replaceAll(/^(x-generation|date): .*\r$/gim, '$1: X')
  }
  const expected = await five(await RawClient.open(web), async () => undefined)
  const dropped = /^event generation=(\d) dropRequest$/
  await web.supervisor.child.line(dropped)
  const from = web.supervisor.child.lines.length
  const got = await five(await RawClient.open(web), async () => {
    t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 1 } })
  })
  t.equal(got, expected)
  t.match(got, /Keep-Alive: timeout=600, max=5\r\n/)
  t.equal((await web.supervisor.child.line(dropped, from))[1], '3')
  // Another connection begins anew; one that is above its limit stays there.
  const client = await RawClient.open(web)
  for (let request = 0; request < 4; request++) t.match(await client.request(GET), { text: /keep-alive/ })
  client.send(GET + GET)
  await until(() => client.received.includes(' 503 '), 'the refusal')
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 1 } })
  client.received = ''
  client.send(GET)
  await until(() => client.received.includes(' 503 '), 'the refusal by the successor')
  t.equal((await web.supervisor.stop()).exitCode, 0)
})

t.test('maxConnections counts those that have come', async (t) => {
  const web = await Web.start(t, withLimits({ maxConnections: 3 }))
  const clients = [await RawClient.open(web), await RawClient.open(web)]
  for (const client of clients) await client.request(GET)
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 } })
  const third = await RawClient.open(web)
  t.match(await third.request(GET), { generation: 2 })
  const tooMany = await RawClient.open(web)
  await until(() => tooMany.isEnded || tooMany.error !== undefined, 'the end of one too many')
  t.equal(tooMany.received, '')
  clients[0]?.socket.destroy()
  // Once the server has seen it go.
  for (let answer = ''; !answer.includes('200 OK'); ) {
    const client = await RawClient.open(web)
    client.send('GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await until(() => client.isEnded || client.error !== undefined, 'its end')
    answer = client.received
  }
  t.match(await clients[1]?.request(GET), { generation: 2 })
  t.equal((await web.supervisor.stop()).exitCode, 0)
})

t.test('a client that ends, or resets, an idle connection that has moved', async (t) => {
  const web = await Web.start(t, withLimits({}))
  const [ended, reset, kept] = [
    await RawClient.open(web),
    await RawClient.open(web),
    await RawClient.open(web),
  ] as const
  for (const client of [ended, reset, kept]) await client.request(GET)
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 3 } })
  ended.socket.end()
  await ended.ended()
  reset.socket.resetAndDestroy()
  let who = await web.who()
  while (who.connections > 2) who = await web.who()
  t.same(who.errors, ['ECONNRESET'], "'clientError' is told, as ever")
  // Parsed by the successor: what is wrong is answered by it.
  kept.send('nonsense\r\n\r\n')
  await kept.ended()
  t.match(kept.received, /^HTTP\/1\.1 400 /)
  t.match((await web.who()).errors, ['ECONNRESET', /^HPE_/])
  t.equal((await web.supervisor.stop()).exitCode, 0)
})

t.test('close() of the server ends idle connections that have come, too, and calls back', async (t) => {
  const web = await Web.start(t, withLimits({}))
  const [idle, used] = [await RawClient.open(web), await RawClient.open(web)] as const
  for (const client of [idle, used]) await client.request(GET)
  t.match(await web.upgrade(), { outcome: 'committed', sessions: { moved: 2 } })
  await used.request(GET)
  process.kill((await web.who()).pid, 'SIGUSR2')
  await web.supervisor.child.line(/^event generation=2 closed$/)
  for (const client of [idle, used]) await client.ended()
  t.equal((await web.supervisor.stop()).exitCode, 0)
})
