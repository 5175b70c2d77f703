/** Sessions that are restored while they are still served: what happens between the copy and the freeze, and how it may end. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Gate } from '../harness/gate.js'
import { Puppet, Stage } from '../harness/puppet.js'
import { playAll } from '../harness/scenario.js'
import { scaled } from '../harness/timeout.js'
import { between } from './scenarios/between.js'

t.setTimeout(scaled(110_000))

const MODES = ['touch', 'compare'] as const

for (const mode of MODES) {
  for (const how of ['commit', 'abort'] as const) {
    t.test(`between copy and freeze, by ${mode}; then ${how}`, async (t) => {
      const stage = await Stage.start(t, { args: ['--precopy', mode] })
      let gate: Gate
      await playAll(t, stage, between, [
        async () => {
          gate = await Gate.set(stage)
          await gate.begin()
        },
        async () => {
          const { exitCode, json } = await gate.end(how)
          t.equal(exitCode, how === 'commit' ? 0 : 3)
          const expected =
            how === 'commit'
              ? { outcome: 'committed', sessions: { dropped: 0, refused: 0 } }
              : { outcome: 'refused', sessions: { moved: 0 }, reasons: [{ kind: 'puppet', reason: /sabotage/ }] }
          t.match(json, expected)
        },
      ])
      const { lines } = stage.supervisor.child
      const since = lines.indexOf('retired generation=1') + 1
      if (how === 'commit')
        t.same(
          lines.slice(since).filter((line) => line.startsWith('event generation=1')),
          [],
          'no event in the predecessor once it had handed over',
        )
      else
        t.same(
          lines.filter((line) => line.startsWith('event generation=2') && !line.endsWith(' close')),
          [],
          'nor any in the successor that was refused, but the end of what it destroyed itself',
        )
      t.equal((await stage.supervisor.stop()).exitCode, 0)
    })
  }
}

t.test('a session that leaves between copy and freeze is drained by the predecessor', async (t) => {
  const stage = await Stage.start(t, { args: ['--precopy', 'touch'] })
  const puppet = await Puppet.open(stage)
  const gate = await Gate.set(stage)
  await gate.begin()
  await puppet.serve((socket, _session, { puppets }) => void puppets.leave(socket))
  const ended = gate.end()
  await stage.supervisor.child.line(/^retired generation=1$/)
  t.equal(await stage.run(({ puppets }) => puppets.size), 1, 'the gate alone has moved')
  puppet.send('still heard')
  t.equal(puppet.ended, false)
  puppet.client.end()
  await stage.supervisor.child.line(new RegExp(`^event generation=1 label=${puppet.label} close$`))
  const { json } = await ended
  t.match(json, { outcome: 'committed', sessions: { moved: 1, drained: 1, dropped: 0 } })
  t.ok(stage.supervisor.child.lines.includes(`forget generation=2 label=${puppet.label}`))
})

t.test('a change nobody speaks of is seen by compare', async (t) => {
  const stage = await Stage.start(t, { args: ['--precopy', 'compare'] })
  const puppet = await Puppet.open(stage)
  const gate = await Gate.set(stage)
  await gate.begin()
  await puppet.serve((_socket, session) => {
    session.note = 'changed'
  })
  t.equal((await gate.end()).exitCode, 0)
  t.equal((await puppet.session()).note, 'changed')
})

t.test('parked sockets are used right after commit: by the app, and by their clients', async (t) => {
  const stage = await Stage.start(t, { args: ['--precopy', 'touch'] })
  const puppets: Puppet[] = []
  while (puppets.length < 300) {
    const open = Array.from({ length: 50 }, () => Puppet.open(stage))
    puppets.push(...(await Promise.all(open)))
  }
  // The first to be live writes to all others at once, and once more in the next turn.
  await puppets[0]!.onRestore((socket, _session, { puppets }) => {
    const all = (text: string): void => {
      for (const [each] of puppets) each.write(text)
    }
    socket.once('connect', () => {
      all('one ')
      all('two ')
      setImmediate(() => all('three '))
    })
  })
  // And while nobody reads, half of the clients speak.
  const frozen = join(stage.supervisor.directory, 'frozen')
  const gate = await Gate.set(stage)
  await gate.begin()
  await puppets[1]!.serve((_socket, session, _tools, path) => {
    session.arg = path
  }, frozen)
  await puppets[1]!.onUpdate((_socket, { arg }, { blockUntil }) => {
    console.log('frozen')
    blockUntil(arg as string)
  })
  const ended = gate.end()
  await stage.supervisor.child.line(/^frozen$/)
  for (const puppet of puppets.slice(150)) puppet.send('in the freeze')
  writeFileSync(frozen, '')
  t.match((await ended).json, { outcome: 'committed', sessions: { moved: 301 } })
  for (const puppet of puppets) await puppet.gets('one two three '.length)
  const wrong = puppets.filter(({ received }) => received.toString() !== 'one two three ')
  t.same(wrong.map(({ received }) => received.toString()).slice(0, 3), [])
  for (const puppet of puppets.slice(150)) await puppet.sees((_socket, session) => session.bytes.length > 0)
  const told = await stage.run(({ puppets }) =>
    [...puppets].map(([, { bytes, events }]) => `${bytes.toString('latin1')}, ${events.join()}`),
  )
  t.same(
    [...new Set(told)].sort(),
    [', 2 connect', 'in the freeze, 2 connect'],
    "each heard its client, and 'connect' once",
  )
  t.equal(told.filter((each) => each.startsWith('in')).length, 150)
  for (const { client } of puppets) client.destroy()
})
