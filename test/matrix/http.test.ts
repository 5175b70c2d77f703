/** HTTP connections from the oldest line of Node to each other and back: cut at every byte, and under load. */
import t from 'tap'
import { Web } from '../harness/http.js'
import { answersOf, cutEverywhere, notAnsweredBy, sendRest } from '../harness/http-cuts.js'
import { agentPoster, HttpLoad, undiciPoster } from '../harness/http-load.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const [oldest, ...newer] = NODE_MAJORS as [number, ...number[]]
const ARGS = ['--framework', 'node', '--server', '{"keepAliveTimeout":600000}']

for (const other of newer) {
  const [old, young] = [await nodeBinary(oldest), await nodeBinary(other)]
  const skip = (old === undefined || young === undefined) && NO_NODE
  t.test(`${oldest} → ${other} → ${oldest}`, { skip }, async (t) => {
    const web = await Web.start(t, ARGS, { options: ['--node', old!] })
    const posters = [undiciPoster(web.port, 4), agentPoster(web.port, 4)]
    const loads = posters.map((poster) => new HttpLoad(poster, 4))
    for (const [generation, major, node] of [
      [2, other, young!],
      [3, oldest, old!],
    ] as const) {
      await Promise.all(loads.map((load) => load.progress()))
      const cuts = await cutEverywhere(web, await answersOf(web))
      const upgrade = web.upgrade(ARGS, '--node', node)
      await web.supervisor.child.line(new RegExp(`^ready .* generation=${generation} `))
      t.same(await sendRest(cuts), [], `${cuts.length} cuts`)
      t.match(await upgrade, {
        outcome: 'committed',
        to: { node: new RegExp(`^${major}\\.`) },
        sessions: { moved: cuts.length + 8, drained: 0, dropped: 0, refused: 0 },
      })
      t.same(await notAnsweredBy(cuts, generation), [])
      t.match(await web.who(), { generation, node: new RegExp(`^${major}\\.`), errors: [] })
      for (const { client } of cuts) client.socket.destroy()
    }
    await Promise.all(loads.map((load) => load.progress()))
    for (const [index, load] of loads.entries()) {
      await load.stop()
      t.same(load.wrong, [])
      t.equal(posters[index]?.opened, 4)
    }
    t.equal((await web.supervisor.stop()).exitCode, 0)
  })
}
