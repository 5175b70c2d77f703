/** Sessions in a store between two supervisors: what they come back to, and what becomes of them when they cannot. */
import t, { type Test } from 'tap'
import { Supervisor } from '../../src/supervisor/index.js'
import type { SupervisorOptions } from '../../src/supervisor/options.js'
import { type DescriptorStore, listenerStore, sessionStore } from '../../src/supervisor/systemd/index.js'
import { binding } from '../../src/sys/binding.js'
import { closeAll } from '../../src/sys/channel.js'
import { Oracle } from '../harness/oracle.js'
import { freePort } from '../harness/port.js'
import { stream } from '../harness/stream.js'
import { until } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'

/** What a service manager does with descriptors: it has duplicates, and passes them to the next process by their names. */
class Manager implements DescriptorStore {
  found = new Map<string, number[]>()
  readonly stored = new Map<string, number[]>()

  put(name: string, descriptors: readonly number[]): boolean {
    const duplicates = descriptors.map((descriptor) => binding().duplicate(descriptor))
    this.stored.set(name, [...(this.stored.get(name) ?? []), ...duplicates])
    return true
  }

  remove(name: string): void {
    closeAll(this.stored.get(name) ?? [])
    this.stored.delete(name)
  }

  barrier(): Promise<boolean> {
    return Promise.resolve(true)
  }

  /** The next process is started. */
  pass(): this {
    const duplicates = (descriptors: number[]) => descriptors.map((descriptor) => binding().duplicate(descriptor))
    this.found = new Map([...this.stored].map(([name, descriptors]) => [name, duplicates(descriptors)]))
    return this
  }

  bags(): string[] {
    return [...this.stored.keys()].filter((name) => name.startsWith('handover.bag.'))
  }
}

type Log = { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }

interface Place {
  readonly manager: Manager
  readonly port: number
  readonly logs: Log[]
  next(args?: readonly string[], options?: Partial<SupervisorOptions>): Supervisor
  connect(count: number): Promise<Oracle[]>
}

async function place(t: Test): Promise<Place> {
  const manager = new Manager()
  const port = await freePort()
  const logs: Log[] = []
  const log = (level: string) => (fields: object, message: string) =>
    void logs.push({ level, fields: fields as Record<string, unknown>, message })
  const before = openDescriptors()
  let newest: Supervisor | undefined
  let seed = port * 100
  t.teardown(() => newest?.stop())
  t.comment(`${before} descriptors`)
  return {
    manager,
    port,
    logs,
    next(args = [], options = {}) {
      manager.pass()
      newest = new Supervisor({
        release: { command: stream('--port', String(port), ...args), cwd: process.cwd() },
        listenerStore: listenerStore(manager),
        sessionStore: sessionStore(manager),
        drainMs: 5_000,
        logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
        ...options,
      })
      return newest
    },
    connect: (count) =>
      Promise.all(Array.from({ length: count }, () => Oracle.open({ port, seed: seed++, push: 1000 }))),
  }
}

const talk = (oracles: readonly Oracle[]): Promise<unknown> =>
  Promise.all(
    oracles.map((oracle) => {
      oracle.send(1000)
      return oracle.reach(oracle.expected)
    }),
  )
/** So many connections that have talked, and whose supervisor has kept them and ended. */
async function kept(here: Place, count: number, ...first: Parameters<Place['next']>): Promise<Oracle[]> {
  const supervisor = here.next(...first)
  await supervisor.start()
  const oracles = await here.connect(count)
  await talk(oracles)
  await supervisor.stop()
  return oracles
}

/** Resolves when its server has closed the connection, or cut it. */
const ended = ({ socket }: Oracle): Promise<void> =>
  until(() => socket.readableEnded || socket.destroyed, 'the end of a connection')
const finish = (oracles: readonly Oracle[]): Promise<unknown> => Promise.all(oracles.map((oracle) => oracle.finish()))
const sessions = async (supervisor: Supervisor): Promise<unknown[]> =>
  (await supervisor.status()).generations.map((each) => each.sessions?.['stream'])

t.test('from one supervisor to the next, and nothing is left of it', async (t) => {
  const here = await place(t)
  const before = openDescriptors()
  let supervisor = here.next()
  await supervisor.start()
  const oracles = await here.connect(300)
  await talk(oracles)
  const stopping = supervisor.stop()
  // On their way, and while nobody is there.
  for (const oracle of oracles) oracle.send(100)
  await stopping
  t.ok(here.manager.bags().length > 0, here.manager.bags().join(' '))
  for (const oracle of oracles) oracle.send(100)
  supervisor = here.next(['--release', '2'])
  await supervisor.start()
  t.same(here.manager.bags(), [])
  t.same(await sessions(supervisor), [300])
  await talk(oracles)
  t.match(
    here.logs.filter(({ level }) => level === 'error' || level === 'warn'),
    [],
  )
  await finish(oracles)
  await supervisor.stop()
  for (const name of [...here.manager.stored.keys()]) here.manager.remove(name)
  // A keeper that had nothing leaves a bag without sessions.
  t.equal(openDescriptors(), before)
})

t.test('stopped again while it starts: nothing is in two places, nothing is lost', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 40)
  const said = (message: string) => until(() => here.logs.some((log) => log.message === message), message)
  const instants: ((supervisor: Supervisor) => Promise<unknown>)[] = [
    () => Promise.resolve(),
    () => said('sessions were kept'),
    async (supervisor) => {
      while (!(await supervisor.status()).generations.some(({ release }) => release === '1'))
        await new Promise(setImmediate)
    },
    () => said('what was kept goes on'),
  ]
  for (const [index, instant] of instants.entries()) {
    here.logs.length = 0
    const next = here.next()
    const started = next.start().then(
      () => 'started',
      (error) => (error as { code: string }).code,
    )
    await instant(next)
    for (const oracle of oracles) oracle.send(10)
    await next.stop()
    t.match(await started, /^(started|HANDOVER_BUSY)$/, `instant ${index}`)
    t.match(
      here.logs.filter(({ level }) => level === 'error'),
      [],
    )
    t.ok(here.manager.bags().length > 0, 'kept')
  }
  const last = here.next()
  await last.start()
  t.same(await sessions(last), [40])
  await talk(oracles)
  await finish(oracles)
})

t.test('three workers, and then two: what one too many had goes on in another', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 60, ['--no-state'], { workers: 3 })
  const second = here.next(['--no-state'], { workers: 2 })
  await second.start()
  const counts = (await sessions(second)) as number[]
  t.equal(counts.length, 2)
  t.equal(
    counts.reduce((sum, count) => sum + count, 0),
    60,
  )
  await talk(oracles)
  await finish(oracles)
})

t.test('a release that crashes as it starts: they wait for the one that does not', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 10)
  const second = here.next(['--fault', 'crash', '--once', `${t.testdir()}/crashed`])
  const crashed = new Promise((resolve) => second.once('crashed', resolve))
  await second.start()
  t.match(await crashed, { reason: 'exited with code 41' })
  t.same(await sessions(second), [10])
  await talk(oracles)
  await finish(oracles)
})

t.test('one that never comes up: they are kept once more, and an upgrade finds them, too', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 10)
  const bad = here.next(['--fault', 'crash'], { maxCrashes: 2 })
  await t.rejects(bad.start(), { code: 'HANDOVER_CRASHED' })
  await bad.stop()
  t.ok(here.manager.bags().length > 0, 'kept')
  const slow = here.next(['--fault', 'crash'], { maxCrashes: 100 })
  const crashed = new Promise((resolve) => slow.once('crashed', resolve))
  void slow.start()
  await crashed
  const { outcome, reasons } = await slow.upgrade({ command: stream('--port', String(here.port)) })
  t.equal(outcome, 'committed', JSON.stringify(reasons))
  t.same((await sessions(slow)).at(-1), 10)
  await talk(oracles)
  await finish(oracles)
})

t.test('a release that cannot read them: they end, it is said, and the service starts', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 5, ['--version', '2'])
  const second = here.next(['--version', '1'])
  await second.start()
  await Promise.all(oracles.map(ended))
  for (const { socket } of oracles) socket.destroy()
  t.match(
    here.logs.find(({ message }) => message === 'what was kept could not be taken over'),
    { level: 'error', fields: { outcome: 'refused', reasons: [{ kind: 'stream' }] } },
  )
  const others = await here.connect(2)
  await talk(others)
  await finish(others)
})

t.test('one session that cannot be restored ends; the others go on', async (t) => {
  const here = await place(t)
  const oracles = await kept(here, 10)
  const second = here.next(['--refuse', String(oracles[3]?.seed)])
  await second.start()
  await ended(oracles[3] as Oracle)
  oracles[3]?.socket.destroy()
  t.same(await sessions(second), [9])
  t.match(
    here.logs.find(({ message }) => message === 'what was kept goes on'),
    { level: 'warn', fields: { sessions: 9 } },
  )
  const others = oracles.filter((_, index) => index !== 3)
  await talk(others)
  await finish(others)
})

t.test('what is no bag is said to be lost, and in nobody’s way', async (t) => {
  const here = await place(t)
  const before = openDescriptors()
  const [left, right] = binding().socketpair()
  binding().send(right, Buffer.from('no bag at all'), [left])
  here.manager.put('handover.bag.0.0', [left])
  here.manager.put('handover.bag.0.1', [0])
  closeAll([left, right])
  const supervisor = here.next()
  await supervisor.start()
  t.match(
    here.logs.find(({ message }) => message === 'sessions were kept'),
    { level: 'error', fields: { sessions: 0, reasons: [{ reason: /cannot be read/ }, { reason: /cannot be read/ }] } },
  )
  const oracles = await here.connect(2)
  await talk(oracles)
  await finish(oracles)
  await supervisor.stop()
  for (const name of [...here.manager.stored.keys()]) here.manager.remove(name)
  t.equal(openDescriptors(), before)
})
