/** Sessions that say "not now", and the hooks, in real processes. */
import t, { type Test } from 'tap'
import { compiled } from '../harness/child.js'
import { ask, type LineClient, lineOf } from '../harness/lines.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const server = (...args: string[]): string[] => ['node', compiled('test/fixtures/job-server.js'), ...args]

async function start(t: Test, options: readonly string[] = [], ...args: string[]) {
  const supervisor = startSupervisor(t, { command: server(...args), options })
  const port = Number((await supervisor.child.line(READY))[4])
  const enter = async (name: string): Promise<LineClient> => {
    const client = lineOf(t, port)
    await ask(client, name)
    return client
  }
  return { supervisor, port, enter }
}

/** Nothing is left, and every hook was called as often as it should. */
async function ends(t: Test, supervisor: TestSupervisor): Promise<void> {
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
}

const hooks = ({ child }: TestSupervisor): string[] =>
  child.lines.flatMap((line) => /^hook (.*)/.exec(line)?.slice(1) ?? []).map((line) => line.replace('generation=', ''))

/** Waits until a generation has said that. */
const told = (supervisor: TestSupervisor, what: string) =>
  until(() => hooks(supervisor).includes(what), `the hook ${what}; there were ${hooks(supervisor).join(', ')}`)

t.test('busy sessions follow as soon as they may, and each hook is called once', async (t) => {
  const { supervisor, enter } = await start(t)
  const [idle, transaction, held, working] = [
    await enter('idle'),
    await enter('transaction'),
    await enter('held'),
    await enter('working'),
  ]
  await ask(transaction, 'begin')
  await ask(held, 'hold')
  await ask(working, 'work')
  const upgrading = supervisor.upgrade()
  await told(supervisor, '2 adopted idle')
  t.equal(await ask(transaction, 'who'), '2 from 1', 'it is served where it is')
  t.equal(await ask(idle, 'who'), '1 from 2')
  t.equal(await ask(transaction, 'end'), '3 from 1')
  await told(supervisor, '2 adopted transaction')
  t.equal(await ask(held, 'free'), '2 from 1')
  await told(supervisor, '2 adopted held')
  await told(supervisor, '2 adopted working')
  const { exitCode, json } = await upgrading
  t.equal(exitCode, 0)
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 4, drained: 0, dropped: 0, refused: 0 },
    followed: { sessions: 3 },
    reasons: [
      { of: 'held', kind: 'job', reason: 'in a transaction', count: 1 },
      { of: 'held', kind: 'job', reason: 'the app holds it', count: 1 },
      { of: 'held', kind: 'job', reason: 'it works', count: 1 },
    ],
  })
  for (const client of [transaction, held, working]) t.match(await ask(client, 'who'), /\d from 2/)
  const all = ['idle', 'transaction', 'held', 'working']
  const expected = [
    '1 adopted',
    ...['1 freeze', '1 moved', '2 adopted'].flatMap((hook) => [hook, ...all.map((name) => `${hook} ${name}`)]),
  ]
  t.same(hooks(supervisor).toSorted(), expected.toSorted())
  await ends(t, supervisor)
})

t.test('an aborted upgrade: frozen, thawed, and nothing more', async (t) => {
  const { supervisor, enter } = await start(t)
  const [idle, busy] = [await enter('idle'), await enter('busy')]
  await ask(busy, 'begin')
  const { json } = await supervisor.upgrade('--', ...server('--refuse'))
  t.match(json, { outcome: 'refused', serves: 'predecessor', sessions: { moved: 0, refused: 1 } })
  for (const client of [idle, busy]) t.match(await ask(client, 'who'), /\d from 1/)
  t.same(hooks(supervisor), ['1 adopted', '1 freeze', '1 freeze idle', '1 thaw idle', '1 thaw'])
  await ask(busy, 'end')
  t.match((await supervisor.upgrade()).json, { outcome: 'committed', sessions: { moved: 2 }, reasons: [] })
  await ends(t, supervisor)
})

for (const atDeadline of ['close', 'move']) {
  t.test(`at the deadline of the drain, by policy: ${atDeadline}`, async (t) => {
    const { supervisor, enter } = await start(t, ['--drain', '300ms'], '--at-deadline', atDeadline)
    const busy = await enter('busy')
    await ask(busy, 'begin')
    const { json } = await supervisor.upgrade('--', ...server('--at-deadline', atDeadline))
    const isMoved = atDeadline === 'move'
    t.match(json, {
      outcome: 'committed',
      sessions: { moved: isMoved ? 1 : 0, drained: 0, dropped: isMoved ? 0 : 1, refused: 0 },
      reasons: [
        { of: 'held', reason: 'in a transaction', count: 1 },
        isMoved
          ? { of: 'forced', reason: 'in a transaction', count: 1 }
          : { of: 'dropped', reason: 'in a transaction, and still open after 300 ms of drain', count: 1 },
      ],
    })
    if (isMoved) t.equal(await ask(busy, 'end'), '2 from 2')
    else t.equal((await busy.lines.next()).done, true, 'it was closed')
    await ends(t, supervisor)
  })
}

t.test('a connection that becomes a session after commit follows', async (t) => {
  const { supervisor, enter, port } = await start(t)
  const other = await enter('other')
  const late = lineOf(t, port)
  late.socket.write('late\n')
  await told(supervisor, '1 handshake')
  const { json } = await supervisor.upgrade()
  t.match(json, { outcome: 'committed', sessions: { moved: 2, drained: 0, dropped: 0 }, reasons: [] })
  t.equal((await late.lines.next()).value, '0 from 1', 'the handshake was answered by who had it')
  t.equal(await ask(late, 'who'), '1 from 2')
  t.equal(await ask(other, 'who'), '1 from 2')
  await enter('new')
  t.match((await supervisor.upgrade()).json, { sessions: { moved: 3 } })
  await ends(t, supervisor)
})

t.test('a deadline moves, and is due once, in the successor', async (t) => {
  const { supervisor, enter } = await start(t)
  const client = await enter('patient')
  // Longer than an upgrade takes, or due while it takes place: either way it is said once.
  await ask(client, `remind ${scaled(400)}`)
  await supervisor.upgrade()
  t.match((await client.lines.next()).value, /^reminded by [12]$/)
  t.equal(await ask(client, 'who'), '2 from 2')
  await ends(t, supervisor)
})
