/** HTTP/2 sessions are shut down by GOAWAY: streams complete, nothing is lost in silence, nothing is done twice. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { scaled, until, within } from '../harness/timeout.js'
import { serveTls, type TlsStage, TRUST } from '../harness/tls.js'

t.setTimeout(scaled(120_000))

/** A session that notes all that is not as it should be. */
class H2Client {
  readonly session: ClientHttp2Session
  readonly goaways: { code: number; lastStreamId: number }[] = []
  readonly errors: string[] = []

  private constructor(session: ClientHttp2Session) {
    this.session = session
    session.on('goaway', (code, lastStreamId) => this.goaways.push({ code, lastStreamId }))
    session.on('error', (error: NodeJS.ErrnoException) => this.errors.push(String(error.code)))
  }

  static async open({ port }: TlsStage, scheme = 'https'): Promise<H2Client> {
    const session = connect(`${scheme}://127.0.0.1:${port}`, { ca: TRUST.ca, servername: TRUST.servername })
    await within(once(session, 'remoteSettings'), 'an HTTP/2 session')
    return new H2Client(session)
  }

  get isOver(): boolean {
    return this.session.closed || this.session.destroyed
  }

  open(path: string): H2Stream {
    return new H2Stream(this.session.request({ ':method': 'POST', ':path': path }))
  }

  async isEnded(): Promise<void> {
    await until(() => this.session.destroyed, 'the end of an HTTP/2 session')
  }
}

class H2Stream {
  readonly stream: ClientHttp2Stream
  received = ''
  who = ''
  readonly ended: Promise<void>

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream
    stream.setEncoding('utf8')
    stream.on('response', (headers) => (this.who = String(headers['x-who'])))
    stream.on('data', (text: string) => (this.received += text))
    // 'close' comes without an error, and without an end, where a stream is cancelled.
    this.ended = once(stream, 'end').then(() => undefined)
    this.ended.catch(() => undefined)
  }

  /** Sends the rest, and returns all that came back. */
  async finish(text = ''): Promise<string> {
    this.stream.end(text)
    await within(this.ended, `the end of a stream; it received ${this.received}`)
    return this.received
  }
}

/** Each client posts one request after the other, and makes a session when the one it has is shut down. */
class Load {
  count = 0
  sessions = 0
  /** Refused unprocessed, and sent again. */
  refused = 0
  readonly errors: string[] = []
  #isOver = false
  readonly #running: Promise<void>[]

  constructor(stage: TlsStage, clients: number, streams: number, scheme = 'https') {
    this.#running = Array.from({ length: clients }, async (_, client) => {
      while (!this.#isOver) {
        const h2 = await H2Client.open(stage, scheme)
        this.sessions++
        await Promise.all(Array.from({ length: streams }, (_, stream) => this.#post(h2, `${client}-${stream}`)))
        h2.session.close()
        await h2.isEnded()
        this.errors.push(...h2.errors)
      }
    })
  }

  async #post(h2: H2Client, name: string): Promise<void> {
    while (!this.#isOver && !h2.isOver) {
      const body = `${name}-${this.count++}`
      const stream = h2.open('/echo')
      try {
        const answer = await stream.finish(body)
        if (answer !== body) this.errors.push(`${body}: ${answer}`)
      } catch (error) {
        // RFC 9113 8.7: it has not been processed, and may be sent again.
        if (stream.stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) this.refused++
        else this.errors.push(`${body}: ${String(error)}`)
        this.unanswered.add(body)
      }
    }
  }

  readonly unanswered = new Set<string>()

  async progress(): Promise<void> {
    const from = this.count
    await until(() => this.count > from + 100, '100 more requests')
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await within(Promise.all(this.#running), 'the last responses')
  }
}

for (const [sort, scheme, reason] of [
  ['h2', 'https', 'a TLS session cannot leave its process'],
  ['h2c', 'http', 'an HTTP/2 session cannot leave its process'],
] as const) {
  t.test(`${sort}: streams in flight complete, then the session ends`, async (t) => {
    const stage = await serveTls(t, ['--sort', sort])
    const client = await H2Client.open(stage, scheme)
    const asking = client.open('/echo')
    asking.stream.write('hello ')
    const streaming = client.open('/stream')
    streaming.stream.write('hello ')
    await until(() => streaming.received === 'hello ', 'the first bytes back')
    const idle = await H2Client.open(stage, scheme)

    const { result } = await stage.begin()
    // A frame that came before, had there been one, has been read by now.
    await new Promise<void>((resolve) => client.session.ping(() => resolve()))
    t.same([...client.goaways, ...idle.goaways], [], 'nobody is told before there is something to tell')
    // All in the same bytes.
    const raced = [1, 2, 3, 4, 5].map(() => client.open('/echo'))
    const answers = await Promise.all(raced.map((stream, index) => stream.finish(`raced ${index}`)))
    t.same(answers, ['raced 0', 'raced 1', 'raced 2', 'raced 3', 'raced 4'], 'opened after commit, and served')
    for (const { who } of raced) t.match(who, 'generation=1')
    await until(() => client.goaways.length > 0, 'GOAWAY')
    t.same(client.goaways[0], { code: 0, lastStreamId: raced.at(-1)?.stream.id })
    t.equal(await asking.finish('world'), 'hello world')
    t.equal(await streaming.finish('world'), 'hello world')
    await client.isEnded()
    await idle.isEnded()
    // RFC 9113, 6.8: a server may say it again, with an id that is no greater; Node does when it destroys the session.
    t.ok(idle.goaways.length > 0, 'an idle one is told after a while')
    for (const said of idle.goaways) t.same(said, { code: 0, lastStreamId: 0 })
    t.same([...client.errors, ...idle.errors], [])
    t.match((await result).json, {
      outcome: 'committed',
      sessions: { drained: 2, dropped: 0 },
      reasons: [{ of: 'drained', count: 2, reason: `${reason}: served to its end by the predecessor` }],
    })
  })
}

async function underLoad(t: Test, clients: number, streams: number): Promise<Load> {
  const folder = mkdtempSync(join(tmpdir(), 'handover-h2-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const ledger = join(folder, 'ledger')
  const args = ['--sort', 'h2', '--ledger', ledger]
  const stage = await serveTls(t, args)
  const load = new Load(stage, clients, streams)
  for (let upgrade = 1; upgrade <= 5; upgrade++) {
    await load.progress()
    const { exitCode, json } = await stage.upgrade(args)
    t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { dropped: 0 } } })
  }
  await load.progress()
  await load.stop()
  t.same(load.errors, [])
  const done = readFileSync(ledger, 'utf8').trim().split('\n')
  t.equal(new Set(done).size, done.length, 'nothing was done twice')
  t.equal(done.length, load.count - load.refused, 'what was answered was done')
  t.notOk(
    done.some((body) => load.unanswered.has(body)),
    'what was refused was not done',
  )
  t.ok(load.sessions >= clients * 6, `${load.sessions} sessions`)
  t.comment(`${load.count} requests, ${load.refused} refused unprocessed`)
  return load
}

t.test('five in a row: who asks one thing at a time sees no error', async (t) => {
  const load = await underLoad(t, 4, 1)
  t.equal(load.refused, 0)
})

t.test('five in a row: who asks many at a time is told which were not processed', async (t) => {
  await underLoad(t, 2, 20)
})

t.test('an upgrade that is refused: no GOAWAY', async (t) => {
  const stage = await serveTls(t, ['--sort', 'h2'])
  const client = await H2Client.open(stage)
  const asking = client.open('/echo')
  asking.stream.write('hello ')
  t.equal((await stage.upgrade(['--sort', 'h2', '--refuse'])).exitCode, 3)
  t.equal(await asking.finish('world'), 'hello world')
  for (let again = 0; again < 3; again++) t.equal(await client.open('/echo').finish('again'), 'again')
  t.same(client.goaways, [])
  t.notOk(client.isOver)
  client.session.close()
})

t.test('at the deadline the sessions that are left end, with their streams', async (t) => {
  const drainMs = scaled(700)
  const stage = await serveTls(t, ['--sort', 'h2'], { options: ['--drain', `${drainMs}ms`] })
  const client = await H2Client.open(stage)
  const asking = client.open('/echo')
  asking.stream.on('error', () => undefined)
  asking.stream.write('hello ')
  const idle = await H2Client.open(stage)
  const { json } = await stage.upgrade()
  await client.isEnded()
  await idle.isEnded()
  t.same([...client.errors, ...idle.errors], [], 'no reset')
  t.ok(client.goaways.length > 0 && idle.goaways.length > 0)
  t.match(json, { outcome: 'committed', sessions: { drained: 0, dropped: 2 } })
})
