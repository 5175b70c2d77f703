/** Several workers, of which processes die at a bad moment: who has not moved serves on, and nobody is lost who need not be. */
import t from 'tap'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { isRunning } from '../harness/census.js'
import { ask } from '../harness/prober.js'
import { stream } from '../harness/stream.js'
import type { CommandResult } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'
import { type Cluster, cluster, faulty, goodUpgrade, pidsOf, servesOn, waitsForOthers } from '../harness/workers.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 10
/** Nothing here waits for the end of a freeze. */
const PATIENT = ['--freeze', `${scaled(10_000)}ms`]
const kill = (pid: number, signal: NodeJS.Signals = 'SIGKILL'): void => void process.kill(pid, signal)

/** Begins an upgrade whose successor comes to that point in one worker, and says so. */
async function begin({ supervisor }: Cluster, fault: string, word: string, worker = 1) {
  const from = supervisor.child.lines.length
  const upgrade = supervisor.upgrade(...faulty(worker, fault, '--times', '1'))
  const [, pid] = await supervisor.child.line(new RegExp(`^${word} pid=(\\d+)$`), from)
  return { upgrade, pid: Number(pid) }
}

/** The successor of a worker, before commit. */
async function successorOf({ supervisor }: Cluster, worker: number): Promise<number> {
  const { generations } = (await supervisor.status()).json as unknown as SupervisorStatus
  return generations.find((each) => each.worker === worker && each.state === 'ready')!.pid!
}

const reasonsOf = ({ json }: CommandResult<UpgradeResult>): string => JSON.stringify(json?.reasons)

t.test('a successor is killed from outside, in each phase: none moves', async (t) => {
  const served = await cluster(t, { clients: CLIENTS, options: PATIENT })
  const pids = await pidsOf(served)
  const starting = await begin(served, 'wait-for-signal', 'waiting')
  kill(starting.pid)
  t.match((await starting.upgrade).json, {
    outcome: 'failed',
    reasons: [{ reason: 'the successor was killed by SIGKILL before it was ready', workers: [1] }],
  })
  await servesOn(t, served, pids)

  const frozen = await begin(served, 'stop-in-restore', 'stopped')
  kill(frozen.pid)
  t.match((await frozen.upgrade).json, { outcome: 'failed', serves: 'predecessor', reasons: [{ workers: [1] }] })
  await servesOn(t, served, pids)

  const voted = await begin(served, 'stop-in-restore', 'stopped')
  await waitsForOthers(pids[2]!)
  kill(await successorOf(served, 2))
  const { json } = await voted.upgrade
  t.match(json, { outcome: 'failed', serves: 'predecessor' })
  t.ok(
    json?.reasons.some(({ reason, workers }) => /\(phase agree\)/.test(reason) && workers?.join() === '2'),
    JSON.stringify(json?.reasons),
  )
  await servesOn(t, served, pids)
  await goodUpgrade(t, served)
  await served.finish()
})

t.test('the predecessor of one is killed when its successor has all: the sessions go on there', async (t) => {
  const served = await cluster(t, { clients: CLIENTS, options: PATIENT })
  const pids = await pidsOf(served)
  const { upgrade, pid } = await begin(served, 'stop-in-restore', 'stopped')
  await waitsForOthers(pids[2]!)
  kill(pids[2]!)
  await until(() => !isRunning(pids[2]!), 'its end')
  kill(pid)
  const result = await upgrade
  t.match(result, {
    exitCode: 4,
    json: {
      outcome: 'failed',
      serves: 'both',
      workers: [
        { serves: 'predecessor' },
        { serves: 'predecessor' },
        { serves: 'successor', outcome: 'committed', sessions: { moved: CLIENTS } },
      ],
    },
  })
  const now = await pidsOf(served)
  t.same(now.slice(0, 2), pids.slice(0, 2))
  await servesOn(t, served, now)
  await goodUpgrade(t, served)
  await served.finish()
})

t.test(
  'a successor is lost after all have decided to commit: that worker is tried again, and all have moved',
  async (t) => {
    const served = await cluster(t, { clients: CLIENTS, options: PATIENT })
    const pids = await pidsOf(served)
    const { upgrade, pid } = await begin(served, 'stop-in-restore', 'stopped')
    await waitsForOthers(pids[2]!)
    const lost = await successorOf(served, 2)
    kill(lost, 'SIGSTOP')
    kill(pid, 'SIGCONT')
    await waitsForOthers(pids[2]!, false)
    kill(lost)
    const result = await upgrade
    t.match(result, {
      exitCode: 0,
      json: { outcome: 'committed', serves: 'successor', sessions: { moved: 3 * CLIENTS, dropped: 0 } },
    })
    t.ok(
      result.json?.reasons.some(({ reason, workers }) => /phase commit/.test(reason) && workers?.join() === '2'),
      reasonsOf(result),
    )
    t.not(result.json?.workers[2]?.to.pid, lost)
    t.notOk([...pids, lost].some(isRunning))
    await served.progress()
    t.same(
      (await served.serving()).map(({ generation }) => generation),
      [2, 2, 2],
      'of one generation',
    )
    await goodUpgrade(t, served)
    await served.finish()
  },
)

t.test(
  'the supervisor is killed while they wait for each other: all serve on, and the successors are gone',
  async (t) => {
    const served = await cluster(t, { clients: CLIENTS, options: PATIENT })
    const pids = await pidsOf(served)
    const { upgrade, pid } = await begin(served, 'stop-in-restore', 'stopped')
    await waitsForOthers(pids[2]!)
    const successors = [await successorOf(served, 0), pid, await successorOf(served, 2)]
    await served.supervisor.child.kill('SIGKILL')
    t.equal((await upgrade).exitCode, 5)
    kill(pid)
    await served.progress()
    await until(() => !successors.some(isRunning), 'the end of the successors')
    t.ok(pids.every(isRunning))
    await served.finish()
  },
)

t.test('one worker is killed: the others do not notice, and it comes again', async (t) => {
  const served = await cluster(t, { clients: CLIENTS, options: PATIENT })
  const { supervisor } = served
  const pids = await pidsOf(served)
  const [lost] = served.loads.splice(1, 1)
  kill(pids[1]!)
  await supervisor.child.line(/"worker":1,"generation":1,"reason":"was killed by SIGKILL","delayMs":100/)
  await supervisor.child.line(/"worker":1,"generation":2.*"msg":"serving"/)
  for (const { socket } of lost!.clients) socket.destroy()
  await served.progress()
  const rows = await served.serving()
  t.same(
    rows.map(({ pid, generation }) => [pid, generation]),
    [
      [pids[0], 1],
      [rows[1]!.pid, 2],
      [pids[2], 1],
    ],
    'it alone is another process',
  )
  await served.finish()
})

t.test(
  'a worker that crashes again and again is given up, and not the others; the next upgrade starts it again',
  async (t) => {
    const served = await cluster(t, { clients: 0 })
    const { supervisor } = served
    const broken = await supervisor.upgrade(...faulty(1, 'crash-when-ready', '--release', '2'))
    t.equal(broken.exitCode, 0, 'it had come up')
    await supervisor.child.line(/"worker":1.*crashed 5 times in a row/, 0, scaled(30_000))
    t.same(
      (await served.serving()).map(({ worker }) => worker),
      [0, 2],
    )
    t.equal((await ask(served.port)).release, '2')
    t.match(await supervisor.upgrade('--', ...stream('--release', '3')), {
      exitCode: 0,
      json: {
        outcome: 'committed',
        reasons: [{ of: 'upgrade', reason: /^nobody served: generation \d+ exited with code 44$/, workers: [1] }],
      },
    })
    t.same(
      (await served.serving()).map(({ release }) => release),
      ['3', '3', '3'],
    )
  },
)
