/** Upgrades with pre-copy under load: sessions change, come and go all the time, and whoever is upgraded from or to may not know it. */
import t, { type Test } from 'tap'
import { Oracle } from '../harness/oracle.js'
import { ask, Prober } from '../harness/prober.js'
import { type Serving, serving, stream, wrongLines } from '../harness/stream.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const CLIENTS = 150

async function upgraded(t: Test, { supervisor, load }: Serving, args: readonly string[], least: number): Promise<void> {
  const { exitCode, json } = await supervisor.upgrade('--', ...stream(...args))
  t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { dropped: 0, refused: 0 } } })
  t.ok((json?.sessions.moved ?? 0) >= least, `${json?.sessions.moved} moved`)
  t.same(
    json?.phases.map(({ phase }) => phase),
    ['spawn', 'check', 'copy', 'transfer', 'vote', 'commit', 'drain'],
  )
  await load.progress()
}

/** Releases one after the other, with connections that come and go, slow readers and half a line. */
async function row(t: Test, first: readonly string[], releases: readonly (readonly string[])[]): Promise<void> {
  const served = await serving(t, { clients: CLIENTS, args: first })
  const { supervisor, port, load } = served
  const slow = await Promise.all(
    [true, false].map((flood, seed) => Oracle.open({ port, seed: 5_000 + seed, push: 3_000_000, flood, paused: true })),
  )
  const half = await Oracle.open({ port, seed: 6_000, push: 1_000, headerBytes: 9 })
  const probers = Array.from({ length: 4 }, () => new Prober(port).start())
  for (const release of releases) await upgraded(t, served, release, CLIENTS + 3)
  half.completeHeader()
  for (const prober of probers) {
    await prober.stop()
    t.same(prober.refused, [], 'no connection was refused, nor cut')
  }
  for (const client of [...slow, half]) await client.finish()
  await load.finish()
  t.same(wrongLines(served), [])
  const made = probers.reduce((sum, prober) => sum + prober.made, 0)
  t.equal((await ask(port)).connections, CLIENTS + 3 + made + 1, 'shared state counted every connection once')
  t.equal((await supervisor.stop()).exitCode, 0)
}

for (const mode of ['touch', 'compare']) {
  t.test(`by ${mode}: five in a row, to another release and schema and back`, async (t) => {
    const release = (version: string) => ['--precopy', mode, '--release', version, '--version', version]
    await row(t, release('1'), ['2', '1', '2', '1', '2'].map(release))
  })
}

t.test('to releases that know no pre-copy, and from them', async (t) => {
  const release = (mode: string) => ['--precopy', mode]
  await row(t, release('none'), ['touch', 'none', 'compare', 'none', 'none', 'touch', 'compare'].map(release))
})

interface Bad {
  readonly fault: string
  readonly args?: readonly string[]
  readonly exitCode: number
  readonly reason: RegExp
  /** Nobody was frozen. */
  readonly isServed: boolean
}

const BAD: readonly Bad[] = [
  { fault: 'restore', exitCode: 3, reason: /restore of stream failed: restore throws on purpose/, isServed: true },
  { fault: 'restore-state', exitCode: 3, reason: /of the state throws on purpose/, isServed: true },
  { fault: 'promise-in-restore', exitCode: 3, reason: /it returned a promise/, isServed: true },
  { fault: 'crash-in-restore', exitCode: 4, reason: /closed its channel \(phase copy\)/, isServed: true },
  { fault: 'hang-in-restore', exitCode: 4, reason: /was silent for \d+ ms \(phase copy\)/, isServed: true },
  { fault: 'stop-in-restore', exitCode: 4, reason: /was silent for \d+ ms \(phase copy\)/, isServed: true },
  { fault: 'update', exitCode: 3, reason: /update of stream failed: update throws on purpose/, isServed: false },
]

for (const mode of ['touch', 'compare']) {
  t.test(`by ${mode}: whatever goes wrong, the predecessor serves on, and the next one works`, async (t) => {
    // Nothing may have changed since the copy when a busy machine gives the clients no time: then there is no update to fail.
    const args = ['--precopy', mode, '--restless']
    const options = ['--check', `${scaled(1_000)}ms`]
    const served = await serving(t, { clients: CLIENTS, args, options })
    const { supervisor, port, load } = served
    for (const { fault, exitCode, reason, isServed } of BAD) {
      const { pid } = await ask(port)
      const { exitCode: code, json } = await supervisor.upgrade('--', ...stream(...args, '--fault', fault))
      t.equal(code, exitCode, fault)
      t.match(json?.reasons[0]?.reason, reason)
      t.match(json, { sessions: { moved: 0, dropped: 0, drained: 0 } })
      if (isServed) t.equal(json?.pauseMs, null, 'nobody has paused')
      t.equal((await ask(port)).pid, pid)
      await load.progress()
    }
    await upgraded(t, served, args, CLIENTS)
    await load.finish()
    t.same(wrongLines(served), [])
    t.equal((await supervisor.stop()).exitCode, 0)
  })
}
