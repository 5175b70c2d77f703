/** What moves with a session, byte by byte, through an upgrade that is aborted at its last step and one that is committed. */
import t from 'tap'
import { descriptorSorts } from '../harness/census.js'
import { PUPPET_SERVER, Puppet, Stage } from '../harness/puppet.js'
import { playAll, type Scenario } from '../harness/scenario.js'
import { scaled } from '../harness/timeout.js'
import { halves } from './scenarios/halves.js'
import { input } from './scenarios/input.js'
import { options } from './scenarios/options.js'
import { output } from './scenarios/output.js'
import { restore } from './scenarios/restore.js'

t.setTimeout(scaled(110_000))

const TABLES: Record<string, readonly Scenario[]> = { output, input, halves, options, restore }

for (const [table, scenarios] of Object.entries(TABLES)) {
  t.test(table, async (t) => {
    const stage = await Stage.start(t)
    await playAll(t, stage, scenarios, [
      async () => {
        const { exitCode, json } = await stage.abortedUpgrade()
        t.equal(exitCode, 3)
        t.match(json, { outcome: 'refused', reasons: [{ kind: 'puppet', reason: /sabotage/ }], sessions: { moved: 0 } })
      },
      async () => {
        const { exitCode, json } = await stage.supervisor.upgrade('--', 'node', PUPPET_SERVER, '--release', '2')
        t.equal(exitCode, 0)
        t.match(json, { outcome: 'committed', to: { generation: 3 }, sessions: { dropped: 0, refused: 0, drained: 0 } })
      },
    ])
    const { lines } = stage.supervisor.child
    const inPredecessor = lines.slice(lines.indexOf('retired generation=1') + 1)
    t.same(
      inPredecessor.filter((line) => line.startsWith('event generation=1')),
      [],
      'no event in the predecessor once it had handed over',
    )
    t.same(
      lines.filter((line) => line.startsWith('event generation=2')),
      [],
      'nor any in the successor that was refused',
    )
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}

/** Of an independent kind so many move in the freeze: the others follow. */
const SAMPLE = 16

for (const [table, scenarios] of Object.entries(TABLES)) {
  t.test(`${table}, by sessions that follow after commit`, async (t) => {
    const stage = await Stage.start(t, { args: ['--independent'] })
    await stage.admitSaboteur()
    const sample = await Promise.all(Array.from({ length: SAMPLE - 1 }, () => Puppet.open(stage)))
    let followed: number | undefined
    await playAll(t, stage, scenarios, [
      async () => {
        const { exitCode, json } = await stage.abortedUpgrade()
        t.equal(exitCode, 3)
        t.match(json, { outcome: 'refused', reasons: [{ kind: 'puppet', reason: /sabotage/ }], sessions: { moved: 0 } })
      },
      async () => {
        const command = ['node', PUPPET_SERVER, '--release', '2', '--independent']
        const cookies = await stage.run(({ puppets, cookie }) => [...puppets].map(([socket]) => cookie(socket)))
        const { exitCode, json } = await stage.supervisor.upgrade('--', ...command)
        t.equal(exitCode, 0)
        t.match(json, { outcome: 'committed', to: { generation: 3 }, sessions: { dropped: 0, refused: 0, drained: 0 } })
        followed = json?.followed.sessions
        const after = await stage.run(({ puppets, cookie }) => [...puppets].map(([socket]) => cookie(socket)))
        // One story is of a session that ends itself in restore.
        t.ok(after.length >= cookies.length - 1)
        t.same(
          after,
          cookies.filter((one) => after.includes(one)),
          'the same sockets, in the same order',
        )
      },
    ])
    t.ok((followed ?? 0) >= scenarios.length, `${followed} have followed`)
    for (const { client } of sample) client.destroy()
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}

t.test('no timer of the app runs between the hand-over and runtime.retired', async (t) => {
  const stage = await Stage.start(t)
  const puppet = await Puppet.open(stage)
  // The predecessor stands still meanwhile: its ticks are overdue when it goes on.
  await puppet.onRestore((_socket, _session, { block }) => block(1_000))
  t.equal((await stage.abortedUpgrade()).exitCode, 3)
  await stage.supervisor.child.line(/^gap generation=1 retired=false$/)
  const before = stage.supervisor.child.lines.length
  // Something to drain: without it the predecessor may be gone before its next tick.
  const held = await stage.unregistered()
  const upgrade = stage.supervisor.upgrade()
  await stage.supervisor.child.line(/^retired generation=1$/)
  await stage.supervisor.child.line(/^gap generation=1 retired=true$/, before)
  held.destroy()
  t.equal((await upgrade).exitCode, 0)
  t.notOk(stage.supervisor.child.lines.slice(before).includes('gap generation=1 retired=false'))
})

t.test('connections that come during the freeze are served after it, by whoever serves then', async (t) => {
  const stage = await Stage.start(t)
  const puppet = await Puppet.open(stage)
  await puppet.onRestore((_socket, _session, { generation, block }) => {
    console.log(`frozen for ${generation}`)
    block(300)
  })
  for (const { abort, frozen, serves } of [
    { abort: true, frozen: 2, serves: 1 },
    { abort: false, frozen: 3, serves: 3 },
  ]) {
    const upgrade = abort ? stage.abortedUpgrade() : stage.supervisor.upgrade()
    await stage.supervisor.child.line(new RegExp(`^frozen for ${frozen}$`))
    const late = await Promise.all([Puppet.open(stage), Puppet.open(stage), Puppet.open(stage)])
    t.equal((await upgrade).exitCode, abort ? 3 : 0)
    for (const each of late) t.equal(await each.serve((_socket, _session, { generation }) => generation), serves)
    for (const each of late) each.client.destroy()
  }
})

t.test('connections the client resets at the moment of the freeze', async (t) => {
  const stage = await Stage.start(t)
  const census = async () => JSON.stringify(descriptorSorts(await stage.run(({ pid }) => pid)))
  t.equal((await stage.supervisor.upgrade()).exitCode, 0)
  const before = await census()
  for (const end of ['resetAndDestroy', 'destroy', 'end'] as const) {
    const puppets = await Promise.all(Array.from({ length: 40 }, () => Puppet.open(stage)))
    const upgrade = stage.supervisor.upgrade()
    const whenReady = stage.supervisor.child.line(/^ready /, stage.supervisor.child.lines.length)
    // Some before, some while, some after.
    for (const puppet of puppets.slice(0, 10)) puppet.client[end]()
    for (const puppet of puppets.slice(10, 20)) setTimeout(() => puppet.client[end](), Math.random() * 300)
    const { exitCode, json } = await upgrade
    t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { refused: 0 } } })
    await whenReady
    for (const puppet of puppets.slice(20)) puppet.client[end]()
  }
  let after = ''
  const giveUpAt = performance.now() + scaled(10_000)
  while (after !== before && performance.now() < giveUpAt) after = await census()
  t.equal(after, before, 'no descriptor is left of them')
  t.equal(await stage.run(({ puppets }) => puppets.size), 0, 'and no session')
})
