/** Event streams from each line of Node to its neighbour, and from the oldest to the newest, each way. */
import t from 'tap'
import { cutEverywhere } from '../harness/event-cuts.js'
import { chunkOf, dechunk, EventServer, idsOf } from '../harness/event-streams.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const ENDS = [NODE_MAJORS[0]!, NODE_MAJORS.at(-1)!] as const
const PAIRS = [...NODE_MAJORS.slice(1).map((newer, index) => [NODE_MAJORS[index]!, newer] as const), ENDS]

for (const [one, other] of PAIRS) {
  const binaries = [await nodeBinary(one), await nodeBinary(other)]
  const skip = binaries.includes(undefined) && NO_NODE
  t.test(`${one} → ${other} → ${one}`, { skip }, async (t) => {
    const [from, to] = binaries as [string, string]
    const server = await EventServer.start(t, { node: from, args: ['--tick', '10', '--queue', '50000000'] })
    const ticking = await Promise.all(Array.from({ length: 20 }, (_, index) => server.stream(`t${index}`, '&ticks=1')))
    const slow = await server.stream('slow')
    slow.socket.pause()
    await server.ask('/fill?name=slow&count=1000&size=10000')
    const behind = await server.stream('behind')
    behind.send('GET /next HTTP/1.1\r\nHo')
    t.equal((await server.abortedUpgrade('--node', to)).exitCode, 3)
    for (const node of [to, from]) {
      const { exitCode, json } = await server.supervisor.upgrade('--node', node)
      t.match(
        { exitCode, json },
        { exitCode: 0, json: { sessions: { moved: 22, dropped: 0, refused: 0, drained: 0 } } },
      )
      await server.ask('/fill?name=slow&count=10&size=10000')
    }
    slow.socket.resume()
    await slow.gets('id: 1020\n')
    const event = (index: number): string => chunkOf(`id: ${index + 1}\ndata: ${'x'.repeat(10_000)}\n\n`)
    await server.ask('/close?name=slow')
    await slow.gets('\n0\r\n\r\n')
    t.ok(slow.body === `${Array.from({ length: 1020 }, (_, index) => event(index)).join('')}0\r\n\r\n`)
    behind.send('st: x\r\n\r\n')
    await server.ask('/close?name=behind')
    await behind.gets('{"path":"/next","generation":4}')
    for (const client of ticking) await client.gets('"generation":4}')
    for (const client of ticking) {
      const ids = idsOf(dechunk(client.body))
      if (ids.some((id, index) => id !== index + 1)) t.fail(`wrong order: ${ids}`)
      client.socket.destroy()
    }
    t.equal((await server.supervisor.stop()).exitCode, 0)
  })
}

t.test('cut at each byte, while it is copied', (t) => cutEverywhere(t, ['--precopy']))
