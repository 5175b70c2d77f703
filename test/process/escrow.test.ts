/** Runtimes that crash, with and without an escrow: who goes on, who does not, and that nobody gets a wrong byte. */
import t, { type Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { Oracle } from '../harness/oracle.js'
import { stream } from '../harness/stream.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { until } from '../harness/timeout.js'

interface Place {
  readonly supervisor: TestSupervisor
  readonly port: number
  connect(count: number): Promise<Oracle[]>
  status(): Promise<SupervisorStatus>
  /** Resolves when so many sessions are in escrow, as they are. */
  kept(count: number): Promise<void>
  /** Of the process that serves, which is ended; resolves when another one serves. */
  crash(): Promise<void>
}

async function place(
  t: Test,
  args: readonly string[] = ['--precopy', 'touch'],
  options = ['--escrow', '20ms'],
): Promise<Place> {
  const supervisor = startSupervisor(t, { options, command: stream(...args) })
  const port = Number((await supervisor.child.line(READY))[4])
  let seed = port * 100
  const status = async () => (await supervisor.status()).json as unknown as SupervisorStatus
  const serving = async () =>
    (await status()).generations.find((each) => each.state === 'serving' && each.release !== 'keeper')
  return {
    supervisor,
    port,
    status,
    connect: (count) =>
      Promise.all(Array.from({ length: count }, () => Oracle.open({ port, seed: seed++, push: 1000 }))),
    async kept(count) {
      for (;;) {
        const { generations } = await status()
        const keeper = generations.find(({ release }) => release === 'keeper')
        if (keeper?.sessions != null && (keeper.sessions['stream'] ?? 0) === count && keeper.unregistered === 0) return
      }
    },
    async crash() {
      const pid = (await serving())?.pid as number
      process.kill(pid, 'SIGKILL')
      for (;;) {
        const next = await serving()
        if (next !== undefined && next.pid !== pid) return
      }
    },
  }
}

const talk = (oracles: readonly Oracle[]): Promise<unknown> =>
  Promise.all(
    oracles.map((oracle) => {
      oracle.send(1000)
      return oracle.reach(oracle.expected)
    }),
  )
const finish = (oracles: readonly Oracle[]): Promise<unknown> => Promise.all(oracles.map((oracle) => oracle.finish()))
const ended = ({ socket }: Oracle): Promise<void> =>
  until(() => socket.readableEnded || socket.destroyed, 'the end of a connection')

for (const changes of ['touch', 'compare'])
  t.test(`a crash, and everybody goes on (${changes})`, async (t) => {
    const here = await place(t, ['--precopy', changes])
    const oracles = await here.connect(30)
    await talk(oracles)
    await here.kept(30)
    // While nobody is there.
    const crashed = here.crash()
    await crashed
    await talk(oracles)
    t.match(
      (await here.status()).generations.find(({ release }) => release !== 'keeper'),
      { sessions: { stream: 30 } },
    )
    const { json } = await here.supervisor.upgrade()
    t.match(json, { outcome: 'committed', sessions: { moved: 30, dropped: 0 } })
    await talk(oracles)
    await here.kept(30)
    await finish(oracles)
    await here.kept(0)
    await here.supervisor.stop()
    t.same(here.supervisor.processes(), [], 'no process is left')
  })

t.test('a second crash right after the first: what was taken over may be why, and is given up', async (t) => {
  const here = await place(t)
  const oracles = await here.connect(5)
  await talk(oracles)
  await here.kept(5)
  await here.crash()
  await talk(oracles)
  await here.kept(5)
  await here.crash()
  await Promise.all(oracles.map(ended))
  for (const { socket } of oracles) socket.destroy()
  await here.supervisor.child.line(/"what is in escrow is given up: it may be why it crashed"/)
  const others = await here.connect(2)
  await talk(others)
  await finish(others)
})

t.test('in the middle of everything: who is not exact ends, and nobody gets a wrong byte', async (t) => {
  const here = await place(t)
  const [idle, busy] = [await here.connect(10), await here.connect(10)]
  await talk(idle)
  await talk(busy)
  await here.kept(20)
  let isOver = false
  const outcomes = busy.map(async (oracle) => {
    try {
      while (!isOver) {
        oracle.send(100)
        await oracle.reach(oracle.expected)
      }
      await oracle.finish()
      return 'went on'
    } catch {
      return 'ended'
    }
  })
  // Who hears nothing more is told so by the end of its connection.
  for (const { socket } of busy) socket.once('end', () => socket.destroy())
  await here.crash()
  await talk(idle)
  isOver = true
  const all = await Promise.all(outcomes)
  t.comment(all.join(' '))
  for (const { fault } of busy) t.match(fault ?? '', /^$|^connection failed: /)
  await finish(idle)
})

t.test('a connection the server closes ends for its client, though the keeper has it, too', async (t) => {
  const here = await place(t)
  const oracles = await here.connect(10)
  await talk(oracles)
  await here.kept(10)
  await finish(oracles)
  await here.kept(0)
})

t.test('sessions that cannot be captured while they are served are in no escrow', async (t) => {
  const here = await place(t, [])
  const oracles = await here.connect(3)
  await talk(oracles)
  await here.crash()
  await Promise.all(oracles.map(ended))
  for (const { socket } of oracles) socket.destroy()
})
