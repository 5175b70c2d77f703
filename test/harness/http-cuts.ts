/** HTTP exchanges cut at every byte: the upgrade comes there, and the rest is sent after it. */
import { RawClient, type Response, type Web } from './http.js'

export const GET = 'GET /echo HTTP/1.1\r\nHost: a\r\n\r\n'
export const EXCHANGES: readonly { name: string; text: string; responses: number }[] = [
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

export interface Cut {
  readonly name: string
  readonly client: RawClient
  readonly text: string
  readonly cut: number
  readonly expected: readonly Response[]
  /** Bytes it has sent before this exchange. */
  readonly before: number
}

/** Opens a connection for each offset of each exchange, and waits until the server has read each up to there. */
export async function cutEverywhere(web: Web, expected: ReadonlyMap<string, readonly Response[]>): Promise<Cut[]> {
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
  await web.hasRead(...cuts.map(({ client, before, cut }) => [client, before + cut] as const))
  return cuts
}

export async function sendRest(cuts: readonly Cut[]): Promise<string[]> {
  for (const { client, text, cut } of cuts) client.send(text.slice(cut))
  const wrong: string[] = []
  for (const { name, client, expected } of cuts) {
    const texts = (await client.responses(expected.length)).map(({ text }) => text)
    if (texts.join('') !== expected.map(({ text }) => text).join('')) wrong.push(`${name}: ${JSON.stringify(texts)}`)
  }
  return wrong
}

/** Each connection is whole, and answered by this generation: what is not so, in words. */
export async function notAnsweredBy(cuts: readonly Cut[], generation: number): Promise<string[]> {
  const wrong: string[] = []
  for (const { client } of cuts) client.send(GET)
  for (const { name, client } of cuts) {
    const [response] = await client.responses(1)
    if (response?.generation !== generation) wrong.push(`${name}: generation ${response?.generation}`)
    if (client.error !== undefined || client.isEnded) wrong.push(`${name}: ${client.error}`)
  }
  return wrong
}

/** What each exchange is answered with when nothing happens. */
export async function answersOf(web: Web): Promise<Map<string, readonly Response[]>> {
  const answers = new Map<string, readonly Response[]>()
  const client = await RawClient.open(web)
  for (const { name, text, responses } of EXCHANGES) {
    client.send(text)
    answers.set(name, await client.responses(responses))
  }
  client.socket.destroy()
  return answers
}
