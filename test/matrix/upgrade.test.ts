/** From each line of Node to each, itself too, under load, with state stepped up and down: by `handover upgrade --node 24`. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
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
const oldest = NODE_MAJORS[0]!

/** A way along every pair, in each direction, and back to where it began (Hierholzer): each upgrade begins where one has ended. */
function alongAllPairs(majors: readonly number[]): number[] {
  const left = new Map(majors.map((from) => [from, [...majors]]))
  const stack = [majors[0]!]
  const way: number[] = []
  while (stack.length > 0) {
    const next = left.get(stack.at(-1)!)?.pop()
    if (next !== undefined) stack.push(next)
    else way.unshift(stack.pop()!)
  }
  return way
}

/** Twice, with one step between that turns the schemas round: each pair steps the state up once, and down once. */
const once = alongAllPairs(NODE_MAJORS)
const WAY = [...once.slice(1), oldest, ...once.slice(1)]

/** A home in which nvm has them all. */
function homeOf(t: Test): string {
  const home = t.testdir({})
  for (const binary of binaries.values()) {
    const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()
    mkdirSync(join(home, '.nvm/versions/node', version), { recursive: true })
    symlinkSync(dirname(binary), join(home, '.nvm/versions/node', version, 'bin'))
  }
  return home
}

t.test(`${NODE_MAJORS.length} × ${NODE_MAJORS.length} pairs, in both directions of the schema`, { skip }, async (t) => {
  const seen = new Set(WAY.map((to, index) => `${index === 0 ? oldest : WAY[index - 1]} → ${to}, ${index % 2}`))
  t.equal(seen.size, 2 * NODE_MAJORS.length ** 2)
  const served = await serving(t, {
    clients: 100,
    options: ['--node', String(oldest)],
    env: { HOME: homeOf(t), NVM_DIR: '' },
  })
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
    const { exitCode, json, lines } = await supervisor.upgrade('--node', String(to), '--', ...command)
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

for (const own of NODE_MAJORS.slice(1))
  t.test(`the supervisor itself on ${own}`, { skip }, async (t) => {
    const served = await serving(t, { node: binaries.get(own)!, options: ['--node', binaries.get(oldest)!] })
    const { supervisor, load } = served
    for (const to of [own, oldest, NODE_MAJORS.at(-1)!]) {
      await load.progress()
      const { json } = await supervisor.upgrade('--node', binaries.get(to)!)
      t.match(json, {
        outcome: 'committed',
        to: { node: new RegExp(`^${to}\\.`) },
        sessions: { dropped: 0, refused: 0 },
      })
    }
    await load.progress()
    await load.finish()
    t.same(wrongLines(served), [])
    t.equal((await supervisor.stop()).exit.code, 0)
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
