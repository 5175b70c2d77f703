/** Sessions that are restored while they are still served: what happens between the copy and the freeze, and how it may end. */
import t from 'tap'
import { Gate } from '../harness/gate.js'
import { Stage } from '../harness/puppet.js'
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
