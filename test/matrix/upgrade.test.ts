/** From each line of Node to the next and back, under load, with state in both schemas: by `handover upgrade --node PATH`. */
import t from 'tap'
import { census, censusLike } from '../harness/fixpoint.js'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { Oracle } from '../harness/oracle.js'
import { Prober } from '../harness/prober.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const binaries = new Map<number, string>()
for (const major of NODE_MAJORS) {
  const binary = await nodeBinary(major)
  if (binary !== undefined) binaries.set(major, binary)
}
const missing = NODE_MAJORS.filter((major) => !binaries.has(major))
const skip = missing.length > 0 && `Node ${missing.join(', ')}: ${NO_NODE}`
const [oldest, ...newer] = NODE_MAJORS as [number, ...number[]]
/** Up, line by line; down, line by line; and the longest way at once, both ways. */
const WAY = [...newer, ...newer.toReversed().slice(1), oldest, newer.at(-1)!, oldest]

t.test(`${oldest} → ${WAY.join(' → ')}`, { skip }, async (t) => {
  const served = await serving(t, { clients: 100, options: ['--node', binaries.get(oldest)!] })
  const { supervisor, port, load } = served
  const slow = await Oracle.open({ port, seed: 5_000, push: 20_000_000, flood: true, paused: true })
  const half = await Oracle.open({ port, seed: 5_001, push: 1_000, headerBytes: 7 })
  const prober = new Prober(port).start()
  let release = '1'
  let from = oldest
  for (const to of WAY) {
    release = release === '1' ? '2' : '1'
    await load.progress()
    const command = stream('--release', release, '--version', release)
    const { exitCode, json, lines } = await supervisor.upgrade('--node', binaries.get(to)!, '--', ...command)
    t.equal(exitCode, 0, `${from} → ${to}, schema ${release}`, { lines })
    t.match(json, {
      outcome: 'committed',
      from: { node: new RegExp(`^${from}\\.`) },
      to: { node: new RegExp(`^${to}\\.`), release },
      sessions: { moved: Number, drained: 0, dropped: 0, refused: 0 },
    })
    t.ok((json?.sessions.moved ?? 0) >= 102)
    from = to
  }
  await load.progress()
  await prober.stop()
  t.same(prober.refused, [], `${prober.made} new connections, none refused`)
  half.completeHeader()
  for (const client of [slow, half]) await client.finish()
  const { bytes } = await load.finish()
  t.comment(`${bytes} bytes checked`)
  t.same(wrongLines(served), [])
  t.equal((await supervisor.stop()).exitCode, 0)
})

t.test('an upgrade to another Node that fails leaves the one there is', { skip }, async (t) => {
  const newest = NODE_MAJORS.at(-1)!
  const served = await serving(t, { options: ['--node', binaries.get(oldest)!] })
  const { supervisor, port, load } = served
  const before = await census(supervisor, port)
  const faulty = ['--', ...stream('--fault', 'crash-in-restore')]
  t.equal((await supervisor.upgrade('--node', binaries.get(newest)!, ...faulty)).exitCode, 4)
  await load.progress()
  t.same(await censusLike(before, supervisor, port), before)
  const { json } = await supervisor.upgrade()
  t.match(json, { outcome: 'committed', to: { node: new RegExp(`^${oldest}\\.`) } }, 'its --node is not in force')
  await load.finish()
})
