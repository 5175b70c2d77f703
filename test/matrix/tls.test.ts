/** TLS sessions are resumed by a successor that runs on another Node, in each direction between all lines. */
import t from 'tap'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { scaled } from '../harness/timeout.js'
import { serveTls } from '../harness/tls.js'
import { visit } from '../harness/tls-visit.js'

t.setTimeout(scaled(120_000))

/** Visits every ordered pair of four. */
const PATH = [20, 26, 20, 22, 20, 24, 22, 24, 26, 22, 26, 24, 20]

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`${version}: ${PATH.join(' → ')}`, async (t) => {
    const binaries = new Map<number, string>()
    for (const major of NODE_MAJORS) {
      const binary = await nodeBinary(major)
      if (binary === undefined) {
        t.pass(`skipped: Node ${major} ${NO_NODE}`)
        return
      }
      binaries.set(major, binary)
    }
    const stage = await serveTls(t, ['--maxVersion', version], { node: binaries.get(PATH[0] as number) as string })
    const first = await visit(stage)
    let { session } = first
    for (const [index, major] of PATH.slice(1).entries()) {
      const args = ['--maxVersion', version, '--padding', `p${index}`]
      const { exitCode, json } = await stage.upgrade(args, '--node', binaries.get(major) as string)
      t.equal(exitCode, 0)
      t.match(json?.to.node, new RegExp(`^${major}\\.`))
      const next = await visit(stage, { session })
      t.ok(next.isReused, `resumed on Node ${major}`)
      session = next.session
    }
    t.ok((await visit(stage, { session: first.session })).isReused, 'the oldest, too')
  })
}
