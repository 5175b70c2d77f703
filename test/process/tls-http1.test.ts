/** HTTP/1 over TLS: after commit each connection ends with its next response, and nobody is reset. */
import { once } from 'node:events'
import { Agent, request } from 'node:https'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { Agent as UndiciAgent, request as undiciRequest } from 'undici'
import { startChild } from '../harness/child.js'
import { scaled, until, within } from '../harness/timeout.js'
import { has, serveTls, TlsClient, TRUST } from '../harness/tls.js'

t.setTimeout(scaled(120_000))

const REASON = 'a TLS session cannot leave its process'

const answered = (generation: number): RegExp => new RegExp(`^x-who: release=\\d+ generation=${generation} `, 'im')
const CLOSE = /^connection: close\r$/im

type Post = (body: string) => Promise<{ status: number; body: string; who: string }>

/** Posts with one keep-alive agent for as long as it is told to; each response must be its own. */
class Poster {
  count = 0
  readonly generations = new Set<string>()
  readonly #run: Post
  #isOver = false
  #running: Promise<void>[] = []

  constructor(run: Post) {
    this.#run = run
  }

  start(concurrency: number): this {
    this.#running = Array.from({ length: concurrency }, async (_, index) => {
      while (!this.#isOver) {
        const body = `${index} ${this.count}`.padEnd(200, '.')
        const answer = await this.#run(body)
        if (answer.status !== 200 || answer.body !== body) throw new Error(`wrong answer: ${JSON.stringify(answer)}`)
        this.generations.add(/generation=(\d+)/.exec(answer.who)?.[1] ?? '?')
        this.count++
      }
    })
    // Heard when it is stopped.
    for (const one of this.#running) one.catch(() => undefined)
    return this
  }

  async progress(): Promise<void> {
    const from = this.count
    await Promise.race([Promise.all(this.#running), until(() => this.count > from + 50, '50 more requests')])
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await within(Promise.all(this.#running), 'the last responses')
  }
}

function nodePoster(t: Test, port: number): { poster: Poster; resumed: boolean[] } {
  const agent = new Agent({ keepAlive: true, ...TRUST, port })
  t.teardown(() => agent.destroy())
  const resumed: boolean[] = []
  const poster = new Poster(async (body) => {
    const asked = request({ agent, ...TRUST, port, path: '/echo', method: 'POST' })
    asked.end(body)
    const [response] = await once(asked, 'response')
    if (!asked.reusedSocket) resumed.push((asked.socket as TLSSocket).isSessionReused())
    const chunks: Buffer[] = await response.toArray()
    return { status: response.statusCode, body: Buffer.concat(chunks).toString(), who: response.headers['x-who'] }
  })
  return { poster, resumed }
}

function undiciPoster(t: Test, port: number): Poster {
  const dispatcher = new UndiciAgent({ connect: { ca: TRUST.ca, servername: TRUST.servername } })
  t.teardown(() => dispatcher.destroy())
  return new Poster(async (body) => {
    const answer = await undiciRequest(`https://127.0.0.1:${port}/echo`, { dispatcher, method: 'POST', body })
    return {
      status: answer.statusCode,
      body: await answer.body.text(),
      who: String(answer.headers['x-who']),
    }
  })
}

t.test('clients that post all the time see five upgrades and no reset; their sessions are resumed', async (t) => {
  const stage = await serveTls(t, ['--sort', 'https'])
  const { poster, resumed } = nodePoster(t, stage.port)
  const undici = undiciPoster(t, stage.port)
  const clients = [poster.start(3), undici.start(3)]
  for (let upgrade = 1; upgrade <= 5; upgrade++) {
    await Promise.all(clients.map((client) => client.progress()))
    const { exitCode, json } = await stage.upgrade(['--sort', 'https', '--padding', 'x'.repeat(upgrade)])
    t.equal(exitCode, 0)
    t.match(json, {
      outcome: 'committed',
      sessions: { dropped: 0 },
      reasons: [{ of: 'drained', reason: `${REASON}: served to its end by the predecessor` }],
    })
  }
  await Promise.all(clients.map((client) => client.progress()))
  await Promise.all(clients.map((client) => client.stop()))
  t.comment(`${clients.map(({ count }) => count).join(' and ')} requests`)
  for (const { generations } of clients) t.same([...generations].sort(), ['1', '2', '3', '4', '5', '6'])
  // The first connections had nothing to resume.
  t.same(resumed.slice(3), Array(resumed.length - 3).fill(true))
  t.ok(resumed.length >= 18, `${resumed.length} connections were made`)
  t.equal((await stage.supervisor.stop()).exitCode, 0)
})

t.test('each connection ends with its next response, and only then', async (t) => {
  const stage = await serveTls(t, ['--sort', 'https'])
  const [idle, asking, streaming, early, late] = await Promise.all(
    [1, 2, 3, 4, 5].map(() => TlsClient.open(stage.port)),
  )
  if (!idle || !asking || !streaming || !early || !late) return
  t.notMatch(await idle.request('POST', '/echo', 'one'), CLOSE)
  const head = (path: string, length: number) =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n\r\n`
  asking.socket.write(`${head('/echo', 10)}hello`)
  streaming.socket.write(`${head('/stream', 10)}hello`)
  await streaming.gets('hello')
  late.socket.write('GET /half HTTP/1.1\r\nHo')
  // Its answer comes before its body, of which there is more than anybody has room for.
  const body = 'x'.repeat(4_000_000)

  const { result } = await stage.begin()
  t.notOk(
    [idle, asking, streaming, early, late].some(({ ended }) => ended),
    'nobody is hung up on',
  )
  asking.socket.write('world')
  const answer = await asking.response()
  t.match(answer, answered(1))
  t.match(answer, CLOSE, 'the response that was under way is the last')
  t.match(answer, /helloworld\s/)

  streaming.socket.write('world')
  await streaming.response()
  t.notMatch(streaming.received, CLOSE, 'its head had been sent')
  t.match(await streaming.request('POST', '/echo', 'next'), CLOSE)

  t.match(await idle.request('POST', '/echo', 'two'), CLOSE)
  late.socket.write('st: localhost\r\n\r\n')
  t.match(await late.response(), CLOSE)

  // Before the client has sent all of it the server has answered and ended; what is on its way must not make a reset.
  early.socket.write(`${head('/early', body.length)}${body.slice(0, 100_000)}`)
  t.match(await early.response(), CLOSE)
  early.socket.write(body.slice(100_000, 2_000_000))
  for (const client of [idle, asking, streaming, early, late]) {
    await client.isEnded()
    t.match(client.received, answered(1))
  }
  const { exitCode, json } = await result
  t.equal(exitCode, 0)
  t.match(json, { sessions: { drained: 5, dropped: 0 } })
  t.match(await (await TlsClient.open(stage.port)).request('GET', '/'), answered(2))
})

t.test('pipelined requests all have their answer; the last one says close', async (t) => {
  const stage = await serveTls(t, ['--sort', 'https'])
  const client = await TlsClient.open(stage.port)
  const post = (body: string) => `POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n${body}`
  client.socket.write(post('fi'))
  await stage.supervisor.status()
  const { result } = await stage.begin()
  client.socket.write(`rst${post('secnd')}${post('third')}`)
  await client.isEnded()
  t.match(client.received, /first(.|\s)*secnd(.|\s)*third\s/)
  t.equal(client.received.match(/^connection: close\r$/gim)?.length, 1)
  t.match(client.received.slice(client.received.indexOf('secnd')), CLOSE)
  t.match((await result).json, { sessions: { drained: 1, dropped: 0 } })
})

t.test('an upgrade that is refused changes nothing for anyone', async (t) => {
  const stage = await serveTls(t, ['--sort', 'h1+h2'])
  const client = await TlsClient.open(stage.port)
  await client.request('POST', '/echo', 'before')
  client.socket.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello')
  client.received = ''
  const { exitCode, json } = await stage.upgrade(['--sort', 'h1+h2', '--refuse'])
  t.match({ exitCode, json }, { exitCode: 3, json: { outcome: 'refused' } })
  client.socket.write('world')
  const answer = await client.response()
  t.match(answer, answered(1))
  t.notMatch(answer, CLOSE)
  for (let again = 0; again < 3; again++) t.notMatch(await client.request('POST', '/echo', 'after'), CLOSE)
  t.notOk(client.ended)

  const { result } = await stage.begin()
  t.match(await client.request('POST', '/echo', 'last'), CLOSE, 'the next good one works')
  await client.isEnded()
  t.match((await result).json, { outcome: 'committed', sessions: { drained: 1, dropped: 0 } })
})

t.test('idle for keepAliveTimeout: ended, and what comes all the same is no reset', async (t) => {
  const stage = await serveTls(t, ['--sort', 'https', '--keepAliveMs', String(scaled(200))])
  const client = await TlsClient.open(stage.port, { allowHalfOpen: true })
  client.socket.write('POST /stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello')
  await client.gets('hello')
  const { result } = await stage.begin()
  client.socket.write('world')
  t.notMatch(await client.response(), CLOSE)
  await client.isEnded()
  for (let again = 0; again < 5; again++) {
    client.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await new Promise((resolve) => setImmediate(resolve))
  }
  client.socket.end()
  await within(once(client.socket, 'close'), 'the end of the connection')
  t.equal(client.error, undefined)
  t.match((await result).json, { sessions: { drained: 1, dropped: 0 } })
})

t.test('at the deadline: close_notify and FIN, reading on, no reset, and the reason is told', async (t) => {
  const drainMs = scaled(700)
  const stage = await serveTls(t, ['--sort', 'https'], { options: ['--drain', `${drainMs}ms`] })
  const idle = await TlsClient.open(stage.port)
  await idle.request('POST', '/echo', 'one')
  const busy = await TlsClient.open(stage.port)
  busy.socket.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n')
  // It goes on sending after it has been hung up on, so that there is always something unread.
  const talk = (async () => {
    while (!busy.ended && busy.error === undefined) {
      busy.socket.write('x'.repeat(1000))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  const raw = await TlsClient.open(stage.port)
  const openssl = has('openssl', 'version')
    ? startChild(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${stage.port}`])
    : undefined
  await openssl?.line(/Verify return code/)
  const { exitCode, json } = await stage.upgrade()
  await talk
  for (const client of [idle, busy, raw]) await client.isEnded()
  t.equal(exitCode, 0)
  const dropped = openssl === undefined ? 3 : 4
  if (openssl !== undefined) {
    await within(openssl.closed, 'the end of openssl')
    // Without close_notify it is "unexpected eof while reading".
    t.notOk(
      openssl.lines.some((line) => /unexpected eof|errno/.test(line)),
      openssl.lines.slice(-5).join('\n'),
    )
  }
  t.match(json, {
    outcome: 'committed',
    sessions: { drained: 0, dropped },
    reasons: [{ of: 'dropped', count: dropped, reason: `${REASON}, and still open after ${drainMs} ms of drain` }],
  })
})
