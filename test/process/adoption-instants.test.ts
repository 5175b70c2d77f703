/** A supervisor is killed at any instant of an upgrade. */
import t from 'tap'
import { ask } from '../harness/prober.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { endsInOrder, goesOn, statusOf, succeed } from '../harness/succession.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

t.test('at any instant: one process serves all, every byte is right, and the next upgrade is good', async (t) => {
  const served = await serving(t, { args: ['--precopy', 'touch'] })
  let { supervisor } = served
  const begun = performance.now()
  await supervisor.upgrade('--', ...stream('--precopy', 'touch'))
  const lastsMs = performance.now() - begun
  const outcomes = new Set<string | undefined>()
  for (const part of [0.05, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1]) {
    await served.load.progress()
    const { lastUpgrade: before } = await statusOf(supervisor)
    supervisor.start('upgrade', '--', ...stream('--precopy', 'touch'))
    // The moment is the experiment; what it leads to is waited for.
    await new Promise((resolve) => setTimeout(resolve, part * lastsMs))
    supervisor = await succeed(t, supervisor, { command: stream('--precopy', 'touch') })
    await served.load.progress()
    const { lastUpgrade, generations } = await statusOf(supervisor)
    outcomes.add(lastUpgrade?.id === before?.id ? 'not begun' : lastUpgrade?.outcome)
    t.match(
      generations.find(({ state }) => state === 'serving'),
      { pid: (await ask(served.port)).pid },
      `after ${Math.round(part * lastsMs)} ms: ${lastUpgrade?.outcome}`,
    )
  }
  t.comment([...outcomes].join())
  await goesOn(t, served, supervisor)
  await served.load.finish()
  t.same(wrongLines(served), [])
  await endsInOrder(t, supervisor)
})
