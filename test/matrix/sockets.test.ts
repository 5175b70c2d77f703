/** The sockets' stories with each pair of neighbouring lines of Node, each on each side; aborted first, then committed. */
import t from 'tap'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { Stage } from '../harness/puppet.js'
import { playAll } from '../harness/scenario.js'
import { scaled } from '../harness/timeout.js'
import { halves } from '../process/scenarios/halves.js'
import { input } from '../process/scenarios/input.js'
import { options } from '../process/scenarios/options.js'
import { output } from '../process/scenarios/output.js'
import { restore } from '../process/scenarios/restore.js'

t.setTimeout(scaled(110_000))

const SCENARIOS = [...output, ...input, ...halves, ...options, ...restore].filter(({ everywhere }) => everywhere)
const PAIRS = NODE_MAJORS.slice(1).flatMap((newer, index) => [
  [NODE_MAJORS[index]!, newer] as const,
  [newer, NODE_MAJORS[index]!] as const,
])

/** Over a path, where addresses and options of TCP are none. */
const OF_TCP = /^(no-delay|addresses)/
const UNIX = SCENARIOS.filter(({ name }) => !OF_TCP.test(name))
const [oldest, newest] = [NODE_MAJORS[0]!, NODE_MAJORS.at(-1)!]
const ALL = [
  ...PAIRS.map(([from, to]) => ({ from, to, path: undefined, scenarios: SCENARIOS })),
  { from: oldest, to: newest, path: `/tmp/handover-matrix-${process.pid}-1.sock`, scenarios: UNIX },
  { from: newest, to: oldest, path: `/tmp/handover-matrix-${process.pid}-2.sock`, scenarios: UNIX },
]

for (const { from, to, path, scenarios } of ALL) {
  const [old, young] = [await nodeBinary(from), await nodeBinary(to)]
  const skip = (old === undefined || young === undefined) && NO_NODE
  t.test(`${from} → ${to}${path === undefined ? '' : ', over a unix socket'}`, { skip }, async (t) => {
    const stage = await Stage.start(t, { node: old!, args: path === undefined ? [] : ['--path', path] })
    const other = ['--node', young!]
    await playAll(t, stage, scenarios, [
      async () => {
        const { exitCode, json } = await stage.abortedUpgrade(...other)
        t.equal(exitCode, 3)
        t.match(json, { to: { node: new RegExp(`^${to}\\.`) }, reasons: [{ reason: /sabotage/ }] })
      },
      async () => {
        const { exitCode, json } = await stage.supervisor.upgrade(...other)
        t.equal(exitCode, 0)
        t.match(json, { from: { node: new RegExp(`^${from}\\.`) }, to: { node: new RegExp(`^${to}\\.`) } })
      },
    ])
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}
