/** An upgrade on trial: what is well stays, what is not is undone by a transfer the other way. */
import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { compiled } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { freePort } from '../harness/port.js'
import { ask } from '../harness/prober.js'
import { READY, startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const SERVER = compiled('test/fixtures/stream-server.js')
const CLIENTS = 100

interface Stage {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly load: Load
  /** These releases are ill from now on. */
  ill(...releases: string[]): void
  release(name: string, ...args: string[]): string[]
}

async function start(t: Test, options: string[] = []): Promise<Stage> {
  const file = join(t.testdir({ ill: '' }), 'ill')
  const healthPort = await freePort()
  const own = ['--ill', file, '--health-port', String(healthPort)]
  const release = (name: string, ...args: string[]) => [
    '--',
    process.execPath,
    SERVER,
    ...own,
    '--release',
    name,
    ...args,
  ]
  const supervisor = startSupervisor(t, {
    options: ['--health', `http://127.0.0.1:${healthPort}/`, ...options],
    command: release('1').slice(1),
  })
  const [, , , , port] = await supervisor.child.line(READY)
  return {
    supervisor,
    port: Number(port),
    load: (await Load.open(Number(port), CLIENTS)).start(),
    ill: (...releases) => writeFileSync(file, releases.join(' ')),
    release,
  }
}

/** Waits until an upgrade is on trial. */
async function onTrial({ child, status }: TestSupervisor): Promise<void> {
  const look = async () => {
    while (!((await status()).json as { probation?: object | null }).probation) t.notOk(child.hasExited)
  }
  await within(look(), 'the trial')
}

/** Everything is as after any upgrade, and the next one works. */
async function goesOn(t: Test, { supervisor, load, port }: Stage, release: string): Promise<void> {
  await load.progress()
  t.equal((await ask(port)).release, release)
  const { json, exitCode } = await supervisor.upgrade('--probation', '0s')
  t.equal(exitCode, 0, 'the next upgrade works')
  t.match(json, { outcome: 'committed', probation: undefined, to: { release } })
  t.ok(json!.sessions.moved >= CLIENTS)
  await load.progress()
  await load.finish()
  t.equal((await supervisor.stop()).exit.code, 0)
  t.same(supervisor.processes(), [])
}

t.test('well to the end', async (t) => {
  const stage = await start(t, ['--probation', '1500ms'])
  const { supervisor, release } = stage
  const begun = performance.now()
  const { json, exitCode, lines } = await supervisor.upgrade(...release('2'))
  t.equal(exitCode, 0, lines.join('\n'))
  t.match(json, { outcome: 'committed', probation: { verdict: 'passed' } })
  t.ok(performance.now() - begun >= 1500)
  t.match((await supervisor.status()).json, { probation: null, lastUpgrade: { probation: { verdict: 'passed' } } })
  await goesOn(t, stage, '2')
})

t.test('unhealthy: undone, with every session, its state stepped down', async (t) => {
  const stage = await start(t)
  const { supervisor, release, ill } = stage
  ill('2')
  const { json, exitCode } = await supervisor.upgrade(...release('2', '--version', '2'))
  t.equal(exitCode, 8)
  t.match(json, {
    outcome: 'committed',
    to: { release: '2', generation: 2 },
    sessions: { dropped: 0, refused: 0 },
    probation: {
      verdict: 'undone',
      reason: /^unhealthy 3 times in a row: 127\.0\.0\.1:\d+\/ answered 503$/,
      undo: { outcome: 'committed', to: { release: '1', generation: 3 }, sessions: { dropped: 0, refused: 0 } },
    },
  })
  for (const result of [json!, json!.probation!.undo!])
    t.ok(result.sessions.moved >= CLIENTS, `${result.sessions.moved} moved`)
  t.match((await supervisor.status()).json, { probation: null, generations: { length: 1 } })
  await goesOn(t, stage, '1')
})

t.test('a crash while it is on trial: the release before serves again', async (t) => {
  // Not even this is the one crash too many.
  const stage = await start(t, ['--max-crashes', '1'])
  const { supervisor, release, load, port } = stage
  const upgrade = supervisor.start('upgrade', ...release('2'))
  await onTrial(supervisor)
  await load.finish()
  process.kill((await ask(port)).pid, 'SIGKILL')
  t.equal((await within(upgrade.closed, 'the end of the upgrade')).code, 8)
  t.match(JSON.parse(upgrade.lines.at(-1)!), {
    probation: { verdict: 'undone', reason: 'generation 2 was killed by SIGKILL', undo: { serves: 'successor' } },
  })
  t.equal((await ask(port)).release, '1', 'no connect was refused, and the old release answers')
  await goesOn(t, { ...stage, load: (await Load.open(port, CLIENTS)).start() }, '1')
})

t.test('what cannot go back stays, and it is said', async (t) => {
  const stage = await start(t)
  const { supervisor, release, ill, port, load } = stage
  ill('2')
  const { json, exitCode } = await supervisor.upgrade(...release('2', '--version', '2', '--no-downgrade'))
  t.equal(exitCode, 9)
  t.match(json, {
    probation: { verdict: 'unhealthy', undo: { outcome: 'refused', serves: 'predecessor', to: { release: '1' } } },
  })
  await load.progress()
  t.equal((await ask(port)).release, '2')
  await goesOn(t, stage, '2')
})

t.test('another upgrade ends a trial, one that is refused does not', async (t) => {
  const stage = await start(t)
  const { supervisor, release } = stage
  const first = supervisor.start('upgrade', ...release('2'))
  await onTrial(supervisor)
  t.equal((await supervisor.upgrade(...release('3', '--fault', 'restore'))).exitCode, 3)
  t.match((await supervisor.status()).json, { probation: { upgrade: 1 } })
  t.match((await supervisor.upgrade('--probation', '0s', ...release('3'))).json, { outcome: 'committed' })
  t.equal((await within(first.closed, 'the end of the first')).code, 0)
  t.match(JSON.parse(first.lines.at(-1)!), { probation: { verdict: 'ended' } })
  await goesOn(t, stage, '3')
})

t.test('a release in a folder behind a link is gone back to, and started again, where it was', async (t) => {
  const code = (name: string, more: string) =>
    `process.argv.push('--release', '${name}', ...process.env.OWN.split(' '), ${more}); await import(${JSON.stringify(SERVER)})`
  const folder = t.testdir({ ill: '2', 1: { 'server.mjs': code('1', '') }, 2: { 'server.mjs': code('2', '') } })
  const current = join(folder, 'current')
  symlinkSync('1', current)
  const healthPort = await freePort()
  const supervisor = startSupervisor(t, {
    options: ['--health', `http://127.0.0.1:${healthPort}/`],
    command: [process.execPath, join(current, 'server.mjs')],
    env: { OWN: `--ill ${join(folder, 'ill')} --health-port ${healthPort}` },
  })
  const [, , , first, port] = await supervisor.child.line(READY)
  symlinkSync('2', `${current}.new`)
  renameSync(`${current}.new`, current)
  process.kill(Number(first), 'SIGKILL')
  await supervisor.child.line(/^ready release=1 generation=2/)
  const { json, exitCode } = await supervisor.upgrade()
  t.equal(exitCode, 8)
  t.match(json, { to: { release: '2' }, probation: { verdict: 'undone', undo: { to: { release: '1' } } } })
  t.equal((await ask(Number(port))).release, '1')
  writeFileSync(join(folder, 'ill'), '')
  t.match(
    (await supervisor.upgrade('--probation', '0s')).json,
    { to: { release: '2' } },
    'an upgrade goes where the link leads',
  )
  t.equal((await supervisor.stop()).exit.code, 0)
})
