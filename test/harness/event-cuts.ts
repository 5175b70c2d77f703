/**
 * A stream's connection cut at every byte the client sends: of the request that opens it, and of the next one, which it has
 * pipelined. One upgrade is aborted and one committed with all of them open, and only then the rest is sent.
 */
import type { Test } from 'tap'
import { type Client, chunkOf, EventServer, waitFor } from '../harness/event-streams.js'
import { READY } from './supervisor.js'

const opening = (name: string): string => `GET /events?name=${name} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n`
const next = (name: string): string => `GET /next-${name} HTTP/1.1\r\nHost: x\r\n\r\n`
/** As long as any other. */
const NAME = 'c000'
const OPENING = opening(NAME).length
export const WHOLE = OPENING + next(NAME).length

interface Cut {
  readonly name: string
  readonly at: number
  readonly client: Client
}

export async function cutEverywhere(t: Test, args: readonly string[] = []): Promise<void> {
  const server = await EventServer.start(t, { args })
  const cuts = Array.from({ length: WHOLE + 1 }, (_, at): Cut => {
    const name = `c${String(at).padStart(3, '0')}`
    return { name, at, client: server.client() }
  })
  const text = ({ name }: Cut): string => opening(name) + next(name)
  const isOpen = async (name: string): Promise<boolean> => (await server.ask(`/look?name=${name}`)) !== null
  for (const cut of cuts) {
    // The head alone first: what comes in one packet with it is another test's.
    cut.client.send(text(cut).slice(0, Math.min(cut.at, OPENING)))
    if (cut.at < OPENING) continue
    await cut.client.gets('\r\n\r\n')
    if (cut.at > OPENING) cut.client.send(text(cut).slice(OPENING, cut.at))
  }
  const early = cuts.filter(({ at }) => at >= OPENING)
  for (const { name } of early) await server.ask(`/send?name=${name}&id=42&data=before`)

  const { exitCode } = await server.abortedUpgrade()
  t.equal(exitCode, 3)
  for (const { name } of early) await server.ask(`/send?name=${name}&id=43&data=aborted`)
  const upgrade = server.supervisor.upgrade()
  const from = server.supervisor.child.lines.length
  await server.supervisor.child.line(new RegExp(READY.source.replace('(\\d+) pid', '3 pid')), from - 10)
  for (const cut of cuts) {
    if (cut.at < OPENING) {
      cut.client.send(text(cut).slice(cut.at, OPENING))
      await cut.client.gets('\r\n\r\n')
      // Opened in the predecessor, it follows.
      await waitFor(() => isOpen(cut.name), `the stream ${cut.name} in the successor`)
    }
    cut.client.send(text(cut).slice(Math.max(cut.at, OPENING)))
    t.same(await server.ask(`/send?name=${cut.name}&id=44&data=after`), true)
  }
  for (const { name } of cuts) {
    const { lastEventId } = (await server.ask(`/look?name=${name}`)) as { lastEventId: string }
    if (lastEventId !== '44') t.fail(`last event id ${lastEventId} of ${name}`)
    await server.ask(`/close?name=${name}`)
  }
  for (const { name, at, client } of cuts) {
    await client.gets(`"path":"/next-${name}"`)
    const events =
      at < OPENING
        ? [[44, 'after']]
        : [
            [42, 'before'],
            [43, 'aborted'],
            [44, 'after'],
          ]
    const chunks = events.map(([id, data]) => chunkOf(`id: ${id}\ndata: ${data}\n\n`)).join('')
    const body = client.body.replace(/^Date: .*$/m, 'Date: now')
    const answer = `{"path":"/next-${name}","generation":3}\n`
    const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\nDate: now\r\nConnection: keep-alive\r\nKeep-Alive: timeout=600\r\n\r\n`
    if (body !== `${chunks}0\r\n\r\n${head}${answer}`)
      t.equal(body, `${chunks}0\r\n\r\n${head}${answer}`, `cut at ${at}`)
  }
  const { exitCode: code, json } = await upgrade
  t.equal(code, 0)
  t.match(json, { outcome: 'committed', sessions: { dropped: 0, refused: 0 } })
  t.ok((json?.sessions.moved ?? 0) >= cuts.length, JSON.stringify(json))
  for (const { client } of cuts) client.socket.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
}
