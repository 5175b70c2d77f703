/** Connections a server has opened itself: sessions like those it has accepted. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { descriptorSorts } from '../harness/census.js'
import { type Child, compiled, startNode } from '../harness/child.js'
import { Load } from '../harness/load.js'
import { Oracle } from '../harness/oracle.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const BRIDGE = compiled('test/fixtures/bridge-server.js')
const CLIENTS = 20
const READY = /^ready release=\S+ generation=(\d+) pid=(\d+) port=(\d+)/

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-outgoing-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface World {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly pid: number
  readonly upstream: Child
  command(...more: string[]): string[]
}

/** The upstream is no runtime of the supervisor's: its connections stay while the bridge is replaced. */
async function world(t: Test, { path, args = [] }: { path?: string; args?: readonly string[] } = {}): Promise<World> {
  const upstream = startNode(t, 'test/fixtures/stream-server.js')
  const upstreamPort = Number((await upstream.line(READY))[3])
  if (path !== undefined) {
    const relay = createServer({ allowHalfOpen: true }, (socket) => {
      const on = connect({ port: upstreamPort, host: '127.0.0.1', allowHalfOpen: true })
      socket.pipe(on).pipe(socket)
    }).listen(path)
    await once(relay, 'listening')
    t.teardown(() => relay.close())
  }
  const command = (...more: string[]) => ['node', BRIDGE, '--to', path ?? String(upstreamPort), ...args, ...more]
  const supervisor = startSupervisor(t, { command: command() })
  const [, , pid, port] = await supervisor.child.line(READY)
  return { supervisor, port: Number(port), pid: Number(pid), upstream, command }
}

const wrong = ({ upstream }: World): string[] => upstream.lines.filter((line) => line.startsWith('WRONG'))

for (const [over, args] of [
  ['TCP', []],
  ['a path', []],
  ['TCP, each half by itself after commit', ['--independent']],
] as const) {
  t.test(`a bridge is replaced in the middle of its streams, over ${over}`, async (t) => {
    const path = over === 'a path' ? { path: join(folder(t), 'up.sock') } : {}
    const bridge = await world(t, { ...path, args })
    const { supervisor, port, command } = bridge
    const load = (await Load.open(port, CLIENTS)).start()
    const slow = await Oracle.open({ port, seed: 1_000, push: 20_000_000, flood: true, paused: true })
    const half = await Oracle.open({ port, seed: 1_001, push: 20_000_000, paused: true })
    half.send(10_000)
    half.halfClose()
    const sorts: Record<string, number>[] = []
    for (let upgrade = 1; upgrade <= 3; upgrade++) {
      await load.progress()
      const aborted = await supervisor.upgrade('--', ...command('--fail-at', '7'))
      t.equal(aborted.exitCode, 3)
      await load.progress()
      const { exitCode, json } = await supervisor.upgrade('--', ...command())
      t.match(
        { exitCode, json },
        { exitCode: 0, json: { sessions: { moved: 2 * (CLIENTS + 2), dropped: 0, drained: 0 } } },
      )
      await load.progress()
      sorts.push(descriptorSorts(json!.to.pid!))
    }
    t.same(sorts[2], sorts[1], 'no descriptor more from one to the next')
    for (const client of [slow, half]) await client.finish()
    t.ok((await load.finish()).bytes > 0)
    t.same(wrong(bridge), [])
  })
}

t.test('those that still connect stay until they have, and follow', async (t) => {
  const gate = join(folder(t), 'gate')
  const bridge = await world(t, { args: ['--lookup', gate, '--after', '3'] })
  const { supervisor, port, pid, command } = bridge
  const load = (await Load.open(port, 3)).start()
  await load.progress()
  const waiting = await Promise.all([11, 12].map((seed) => Oracle.open({ port, seed, push: 100_000 })))
  for (const client of waiting) client.send(1_000)
  for (const pair of [3, 4]) await supervisor.child.line(new RegExp(`^lookup of pair ${pair}$`))

  const aborted = await supervisor.upgrade('--', ...command('--fail-at', '2'))
  t.equal(aborted.exitCode, 3, 'an upgrade that is aborted is none of their business')
  await load.progress()

  const upgrade = supervisor.upgrade('--', ...command())
  const [, , successor] = await supervisor.child.line(/^ready .* generation=(3) pid=(\d+)/)
  await load.progress()
  t.same(
    waiting.map(({ received }) => received),
    [0, 0],
  )
  writeFileSync(gate, '')
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, {
    sessions: { moved: 10, dropped: 0, drained: 0 },
    followed: { sessions: 4 },
    to: { pid: Number(successor) },
  })
  t.not(json!.to.pid, pid)
  await Promise.all(waiting.map((client) => client.finish()))
  await load.finish()
  t.same(wrong(bridge), [])
})

t.test('a handshake the other side does not answer yet', async (t) => {
  // It accepts nothing while it stands still; the kernel answers for it until its backlog is full.
  const deaf = startNode(t, 'test/fixtures/deaf-server.js')
  const [, to] = await deaf.line(/^ready port=(\d+)/)
  process.kill(deaf.pid, 'SIGSTOP')
  const fill = Array.from({ length: 3 }, () => connect(Number(to), '127.0.0.1'))
  for (const socket of fill) socket.on('error', () => undefined)
  t.teardown(() => {
    for (const socket of fill) socket.destroy()
  })
  await until(() => fill.filter(({ connecting }) => !connecting).length >= 2, 'a backlog that is full')
  const supervisor = startSupervisor(t, { command: ['node', BRIDGE, '--to', to!] })
  const [, , , port] = await supervisor.child.line(READY)
  const client = connect(Number(port), '127.0.0.1')
  t.teardown(() => client.destroy())
  client.write('hello')
  const sessions = async () => {
    const { json } = await supervisor.status()
    return (json as { generations: { sessions: Record<string, number> | null }[] }).generations[0]!.sessions?.['half']
  }
  while ((await sessions()) !== 2);
  const upgrade = supervisor.upgrade()
  await supervisor.child.line(/^ready .* generation=2 /)
  process.kill(deaf.pid, 'SIGCONT')
  const answer = String((await once(client, 'data'))[0])
  t.equal(answer, 'you said hello')
  t.match(await upgrade, { exitCode: 0, json: { sessions: { moved: 2, dropped: 0 }, followed: { sessions: 2 } } })
  t.equal((await supervisor.stop()).exitCode, 0)
})
