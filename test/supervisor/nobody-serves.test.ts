/** An upgrade while nobody serves is how a fix is deployed: the release starts at once, as first generation. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { startNode } from '../harness/child.js'
import { ask } from '../harness/prober.js'
import { stream } from '../harness/stream.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const heard = (lines: readonly string[]) => {
  const said = lines.filter((line) => line.startsWith('said ')).map((line) => JSON.parse(line.slice(5)))
  return (what: string): unknown[] => said.filter(([asked]) => asked === what).map(([, value]) => value)
}
const crashed = (generation: number): object => ({ generation, reason: 'exited with code 41' })
const nobody = (generation: number): object => ({
  of: 'upgrade',
  reason: `nobody served: generation ${generation} exited with code 41`,
  count: 1,
})

t.test(
  'between two starts: one that fails leaves the old release its retry, one that does not is in force',
  async (t) => {
    const child = startNode(t, 'test/fixtures/nobody-serves.js', ['5'])
    t.same(await child.closed, { code: 0, signal: null })
    const all = heard(child.lines)
    t.match(all('bad'), [
      {
        outcome: 'failed',
        sessions: { moved: 0, drained: 0, dropped: 0, refused: 0 },
        from: { generation: 1 },
        to: { generation: 2 },
        reasons: [nobody(1), { of: 'upgrade', reason: 'the successor exited with code 42 before it was ready' }],
      },
    ])
    t.same(all('crashed'), [crashed(1), crashed(3)], 'the old release was tried again; a failed upgrade is no crash')
    t.same(all('second upgrade'), ['HANDOVER_BUSY'])
    t.match(all('good'), [
      {
        id: 2,
        outcome: 'committed',
        sessions: { moved: 0, drained: 0, dropped: 0, refused: 0 },
        from: { generation: 3 },
        to: { generation: 4, release: '2' },
        pauseMs: null,
      },
    ])
    const [good] = all('good') as { reasons: unknown; phases: { phase: string }[] }[]
    t.strictSame(good!.reasons, [nobody(3)])
    t.same(
      good!.phases.map(({ phase }) => phase),
      ['spawn'],
    )
    t.same(all('phase'), [
      { id: 1, phase: 'spawn' },
      { id: 2, phase: 'spawn' },
    ])
    t.same(all('started'), [true], 'start() has succeeded, too')
    t.match(all('serving'), [{ generation: 4 }])
    const [status] = all('status') as { generations: object[] }[]
    t.equal(status!.generations.length, 1, 'and the retry was cancelled')
  },
)

t.test('after it has given up', async (t) => {
  const child = startNode(t, 'test/fixtures/nobody-serves.js', ['1'])
  t.same(await child.closed, { code: 0, signal: null })
  const all = heard(child.lines)
  t.same(all('gave up'), ['HANDOVER_CRASHED'])
  t.match(all('good'), [{ outcome: 'committed', from: { generation: 1 }, to: { generation: 2 }, reasons: [nobody(1)] }])
})

t.test('while a runtime is being started, and never gets ready: it makes room, with its addresses', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const port = (other.address() as AddressInfo).port
  other.close()
  await once(other, 'close')
  const args = ['--port', String(port)]
  const supervisor = startSupervisor(t, { command: stream('--fault', 'never-ready', ...args) })
  const first = Number((await supervisor.child.line(/^waiting pid=(\d+)$/))[1])
  const from = supervisor.child.lines.length
  const bad = await supervisor.upgrade('--', ...stream('--fault', 'crash', ...args))
  t.equal(bad.exitCode, 4)
  const nobodyServed = { of: 'upgrade', reason: 'nobody served: generation 1 was only starting' }
  t.match(bad.json, {
    outcome: 'failed',
    from: { pid: first },
    reasons: [nobodyServed, { reason: /exited with code 41/ }],
  })
  const second = Number((await supervisor.child.line(/^waiting pid=(\d+)$/, from))[1])
  t.not(second, first, 'the old release is started again')
  const good = await supervisor.upgrade('--', ...stream('--release', '2', ...args))
  t.equal(good.exitCode, 0)
  t.match(good.json, { outcome: 'committed', from: { pid: second, generation: 3 }, to: { release: '2' } })
  t.match(await ask(port), { release: '2', pid: good.json?.to.pid })
  t.notOk(
    supervisor.child.lines.some((line) => line.includes('the runtime crashed')),
    'who makes room has not crashed',
  )
  t.match((await supervisor.upgrade()).json, { outcome: 'committed', from: { generation: 4 }, reasons: [] })
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
})
