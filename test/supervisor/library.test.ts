/** `handover/supervisor` in somebody else's program. */
import t from 'tap'
import { startNode } from '../harness/child.js'
import { READY } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

t.test(
  'start, upgrade, status, stop, events; no output of its own, and nothing that keeps the process alive',
  async (t) => {
    const child = startNode(t, 'test/fixtures/library-supervisor.js')
    t.same(await child.closed, { code: 0, signal: null })
    const others = child.lines.filter(
      (line) => !line.startsWith('said ') && !READY.test(line) && !line.startsWith('waiting '),
    )
    t.same(others, [])
    const said = child.lines.filter((line) => line.startsWith('said ')).map((line) => JSON.parse(line.slice(5)))
    const all = (what: string): unknown[] => said.filter(([asked]) => asked === what).map(([, value]) => value)
    t.same(all('no command'), ['HANDOVER_USAGE'])
    t.same(all('upgrade before start'), ['HANDOVER_BUSY'])
    t.same(all('start twice'), ['HANDOVER_USAGE'])
    t.match(all('result'), [{ id: 1, outcome: 'committed', to: { release: '2', generation: 2 } }])
    t.same(all('refused'), ['refused'])
    t.same(all('wrong node'), ['HANDOVER_USAGE'])
    t.match(all('status'), [
      { generations: [{ generation: 2, state: 'serving' }], lastUpgrade: { id: 2, outcome: 'refused' } },
    ])
    t.match(all('serving'), [{ generation: 1 }, { generation: 2 }, { generation: 4 }])
    const phases = ['spawn', 'transfer', 'drain'].map((phase) => ({ id: 1, phase }))
    t.same(all('phase'), [...phases, ...phases.slice(0, 2).map((phase) => ({ ...phase, id: 2 }))])
    t.same(all('upgraded'), [
      { id: 1, outcome: 'committed' },
      { id: 2, outcome: 'refused' },
    ])
    t.same(all('crashed'), [{ generation: 2, reason: 'was killed by SIGKILL' }])
    t.same(all('upgrade while it stops'), ['HANDOVER_BUSY'])
    t.same(all('stopped event'), [true])
    t.same(all('stopped before it served'), ['HANDOVER_BUSY'])
    t.same(all('crashed for good'), ['HANDOVER_CRASHED'])
  },
)
