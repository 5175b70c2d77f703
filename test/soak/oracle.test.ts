/**
 * The byte oracle at scale: clients of every manner, while upgrades and aborted upgrades happen at random moments. Here a
 * small share; `npm run test:oracle` takes 1 GB in each direction over 2,000 connections, `-- --seed N` a run again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { compiled } from '../harness/child.js'
import { ask } from '../harness/prober.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled } from '../harness/timeout.js'
import { gather } from './crowd.js'
import { Random } from './random.js'

const option = (name: string, otherwise: number): number => Number(process.env[`HANDOVER_ORACLE_${name}`] ?? otherwise)
const SEED = option('SEED', Date.now() % 1_000_000)
const CONNECTIONS = option('CONNECTIONS', 150)
const MEGABYTES = option('MEGABYTES', 40)
/** Upgrades, disturbed or not, at least. */
const UPGRADES = option('UPGRADES', 10)
const SERVER = compiled('test/fixtures/mode-server.js')
/** Sessions that owe a flood carry it along: a transfer of 2,000 may take seconds on a busy machine. */
const FREEZE = `${2 + Math.ceil(CONNECTIONS / 200)}s`

t.setTimeout(scaled(110_000))

type Deed = 'upgrade' | 'throw' | 'exit' | 'hang' | 'kill'
const DEEDS: readonly Deed[] = [
  'upgrade',
  'upgrade',
  'upgrade',
  'upgrade',
  'throw',
  'throw',
  'exit',
  'exit',
  'hang',
  'kill',
]

/** How the sessions of a release move; where two releases differ, the predecessor's way counts, or the slower one. */
const WAYS = [[], ['--precopy', 'touch'], ['--precopy', 'touch'], ['--precopy', 'compare'], ['--independent']]
/** Of an independent kind so many are restored before commit: what ends a successor later ends what it has. */
const RESTORED_BEFORE_COMMIT = 16

/** Does it, and says what came of it: which outcomes the command may tell. */
async function perform(deed: Deed, supervisor: TestSupervisor, port: number, random: Random): Promise<string> {
  if (deed === 'kill') {
    const { pid } = await ask(port)
    const before = new Set(supervisor.processes().map((process) => process.pid))
    const upgrade = supervisor.upgrade('--', 'node', SERVER, ...random.of(WAYS))
    await wait(random.below(600))
    const successor = supervisor
      .processes()
      .find((fact) => !before.has(fact.pid) && fact.command.includes(SERVER) && !fact.command.includes(' upgrade '))
    if (successor !== undefined && (await ask(port)).pid === pid) process.kill(successor.pid, 'SIGKILL')
    return (await upgrade).json?.outcome ?? 'nothing'
  }
  const fault = deed === 'upgrade' ? [] : ['--fault', deed, '--at', String(random.below(RESTORED_BEFORE_COMMIT))]
  const { json, lines } = await supervisor.upgrade('--', 'node', SERVER, ...random.of(WAYS), ...fault)
  const isRight =
    deed !== 'upgrade' || (json?.outcome === 'committed' && json.sessions.dropped + json.sessions.refused === 0)
  return isRight ? (json?.outcome ?? 'nothing') : lines.join('\n')
}

t.test(`${MEGABYTES} MB each way, ${CONNECTIONS} connections, seed ${SEED}`, async (t) => {
  const random = new Random(SEED)
  const options = ['--freeze', FREEZE]
  const supervisor = startSupervisor(t, { command: ['node', SERVER], options })
  const port = Number((await supervisor.child.line(READY))[4])
  let done = 0
  // A third more: not all send their share.
  const bytesEach = Math.ceil((MEGABYTES * 1.33e6) / CONNECTIONS)
  const crowd = await gather(port, CONNECTIONS, bytesEach, random, () => done >= UPGRADES)
  let isOver = false
  const finished = crowd.finished.finally(() => (isOver = true))
  finished.catch(() => undefined)

  const outcomes: Record<string, number> = {}
  for (let deeds: Deed[] = []; !isOver; done += 1) {
    await wait(random.below(300))
    // Each of them before any comes again.
    if (deeds.length === 0) deeds = random.shuffled(DEEDS)
    const deed = deeds.pop()!
    const outcome = await perform(deed, supervisor, port, random)
    outcomes[`${deed}: ${outcome}`] = (outcomes[`${deed}: ${outcome}`] ?? 0) + 1
    if (deed === 'upgrade') t.equal(outcome, 'committed', 'an upgrade nobody disturbs, after whatever was before it')
  }
  await finished
  t.ok(
    crowd.up() >= MEGABYTES * 1e6 && crowd.down() >= MEGABYTES * 1e6,
    `${crowd.up()} bytes up, ${crowd.down()} down, all right`,
  )
  t.same(
    supervisor.child.lines.filter((line) => line.startsWith('WRONG')),
    [],
    'nor did the servers see a wrong byte',
  )
  t.comment(JSON.stringify(outcomes))
  t.equal((await supervisor.stop()).exitCode, 0)
})
