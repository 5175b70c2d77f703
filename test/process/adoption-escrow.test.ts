/** An escrow ends with its supervisor; the next supervisor has another one, however it has come. */
import t from 'tap'
import { Load } from '../harness/load.js'
import { ask } from '../harness/prober.js'
import { stream } from '../harness/stream.js'
import { endsInOrder, statusOf, succeed } from '../harness/succession.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 10
const command = stream('--precopy', 'touch')
const options = ['--escrow', '20ms']

/** Resolves when all sessions are in escrow, as they are. */
async function kept(supervisor: TestSupervisor): Promise<void> {
  const isKept = async (): Promise<boolean> => {
    const keeper = (await statusOf(supervisor)).generations.find(({ release }) => release === 'keeper')
    return keeper?.sessions?.['stream'] === CLIENTS && keeper.unregistered === 0
  }
  while (!(await isKept()));
}

const COMES = {
  'after the death of the one before': (t, before) => succeed(t, before, { command, options }),
  'in its place': async (_, before) => {
    const asked = before.start('upgrade', '--supervisor')
    const { code } = await within(asked.closed, 'the end of upgrade --supervisor', scaled(60_000))
    if (code !== 0) throw new Error(asked.lines.join('\n'))
    return before
  },
} satisfies Record<string, (t: import('tap').Test, before: TestSupervisor) => Promise<TestSupervisor>>

for (const [how, come] of Object.entries(COMES)) {
  t.test(`a supervisor that comes ${how}`, async (t) => {
    const first = startSupervisor(t, { options, command })
    const port = Number((await first.child.line(READY))[4])
    const load = (await Load.open(port, CLIENTS)).start()
    await load.progress()
    await load.quiet()
    await kept(first)
    const begun = performance.now()
    const second = await come(t, first)
    t.ok(performance.now() - begun < scaled(20_000), 'an escrow is no transfer that it would have to wait for')
    await kept(second)
    const { pid } = await ask(port)
    await kept(second)
    process.kill(pid, 'SIGKILL')
    const serves = async () =>
      (await statusOf(second)).generations.find(({ state, release }) => state === 'serving' && release !== 'keeper')
    while (((await serves())?.pid ?? pid) === pid);
    load.start()
    await load.progress()
    await load.finish()
    t.equal(load.clients.filter(({ fault }) => fault !== undefined).length, 0, 'they go on, with every byte')
    await endsInOrder(t, second)
    await until(() => second.processes().every(({ state }) => state === 'Z'), 'the end of all')
  })
}
