/** HTTP exchanges cut at every byte: the upgrade comes there, aborted and committed, and the rest is sent after it. */
import t, { type Test } from 'tap'
import { RawClient, type Response, Web } from '../harness/http.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const GET = 'GET /echo HTTP/1.1\r\nHost: a\r\n\r\n'
const EXCHANGES: readonly { name: string; text: string; responses: number }[] = [
  { name: 'GET', text: GET, responses: 1 },
  { name: 'POST', text: 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789', responses: 1 },
  {
    name: 'chunked POST with a trailer',
    text: 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3\r\nfgh\r\n0\r\nT: 1\r\n\r\n',
    responses: 1,
  },
  {
    name: 'pipelined pair',
    text: `${GET}POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz`,
    responses: 2,
  },
  {
    name: 'POST that waits for 100',
    text: 'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok',
    responses: 1,
  },
]

interface Cut {
  readonly name: string
  readonly client: RawClient
  readonly text: string
  readonly cut: number
  readonly expected: readonly Response[]
  /** Bytes it has sent before this exchange. */
  readonly before: number
}

/** Opens a connection for each offset of each exchange, and waits until the server has read each up to there. */
async function cutEverywhere(web: Web, expected: ReadonlyMap<string, readonly Response[]>): Promise<Cut[]> {
  const cuts: Cut[] = []
  for (const { name, text } of EXCHANGES)
    for (let cut = 0; cut <= text.length; cut++) {
      const client = await RawClient.open(web)
      // Every other one has had a request before.
      const before = cut % 2 === 0 ? '' : GET
      if (before !== '') await client.request(before)
      client.send(text.slice(0, cut))
      const label = `${name} cut at ${cut} of ${text.length}`
      cuts.push({ name: label, client, text, cut, before: before.length, expected: expected.get(name) ?? [] })
    }
  await hasRead(web, cuts)
  return cuts
}

async function hasRead(web: Web, cuts: readonly Cut[]): Promise<void> {
  let missing: string[] = []
  const look = async () => {
    const { bytesRead } = await web.who()
    missing = cuts
      .filter(({ client, before, cut }) => bytesRead[client.socket.localPort as number] !== before + cut)
      .map(({ name }) => name)
    return missing.length === 0
  }
  let isThere = await look()
  await until(
    () => {
      void look().then((there) => {
        isThere = there
      })
      return isThere
    },
    () => `the server to have read ${missing}`,
  )
}

async function sendRest(cuts: readonly Cut[]): Promise<string[]> {
  for (const { client, text, cut } of cuts) client.send(text.slice(cut))
  const wrong: string[] = []
  for (const { name, client, expected } of cuts) {
    const texts = (await client.responses(expected.length)).map(({ text }) => text)
    if (texts.join('') !== expected.map(({ text }) => text).join('')) wrong.push(`${name}: ${JSON.stringify(texts)}`)
  }
  return wrong
}

/** The connections are whole, and this generation has all of them. */
async function allAnsweredBy(t: Test, web: Web, cuts: readonly Cut[], generation: number): Promise<void> {
  const wrong: string[] = []
  for (const { client } of cuts) client.send(GET)
  for (const { name, client } of cuts) {
    const [response] = await client.responses(1)
    if (response?.generation !== generation) wrong.push(`${name}: generation ${response?.generation}`)
    if (client.error !== undefined || client.isEnded) wrong.push(`${name}: ${client.error}`)
  }
  t.same(wrong, [], `all are answered by generation ${generation}`)
  t.equal((await web.who()).generation, generation)
}

t.test('at every byte: an upgrade that is aborted, then one that is committed', async (t) => {
  const web = await Web.start(t, ['--server', '{"keepAliveTimeout":600000}'])
  const expected = new Map<string, readonly Response[]>()
  const plain = await RawClient.open(web)
  for (const { name, text, responses } of EXCHANGES) {
    plain.send(text)
    expected.set(name, await plain.responses(responses))
  }

  const aborted = await cutEverywhere(web, expected)
  t.match(await web.abortedUpgrade(), { outcome: 'refused', sessions: { moved: 0, dropped: 0 } })
  t.same(await sendRest(aborted), [], `${aborted.length} cuts, after an abort: each byte is as ever`)
  await allAnsweredBy(t, web, aborted, 1)

  const cuts = await cutEverywhere(web, expected)
  const upgrade = web.upgrade()
  await web.supervisor.child.line(/^ready .* generation=3 /)
  t.same(await sendRest(cuts), [], `${cuts.length} cuts, after a commit: each byte is as ever`)
  const all = cuts.length + aborted.length + 1
  const { outcome, sessions, followed, reasons } = await upgrade
  t.match({ outcome, sessions }, { outcome: 'committed', sessions: { moved: all, dropped: 0, refused: 0, drained: 0 } })
  t.comment(JSON.stringify({ sessions, followed, reasons }))
  await allAnsweredBy(t, web, cuts, 3)
  await allAnsweredBy(t, web, aborted, 3)
  t.equal((await web.who()).connections, all + 1)
  t.same((await web.who()).errors, [])
  for (const { client } of [...cuts, ...aborted]) client.socket.destroy()
  t.equal((await web.supervisor.stop()).exitCode, 0)
})
