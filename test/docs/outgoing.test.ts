/** The database pool of docs/outgoing.md, as it stands there, with a real server. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { SupervisorStatus } from '../../src/supervisor/status.js'
import { postgresPrograms, startPostgres } from '../harness/postgres.js'
import { startSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'
import { blocksOf, root } from './source.js'

t.setTimeout(scaled(110_000))

const { code } = blocksOf('docs/outgoing.md').find(({ code }) => code.includes("from 'pg'"))!
const SIZE = 4

function project(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-pool-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  symlinkSync(root, join(modules, 'handover'))
  for (const name of readdirSync(`${root}node_modules`))
    if (name.startsWith('pg') || name.startsWith('postgres'))
      symlinkSync(`${root}node_modules/${name}`, join(modules, name))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const port = "console.log('port ' + server.address().port)\n"
  writeFileSync(join(folder, 'shop.js'), `${code.replace('port: 4000', 'port: 0')}${port}`)
  return join(folder, 'shop.js')
}

/** Asks one question after the other. */
class Shopper {
  readonly socket: Socket
  answered = 0
  readonly wrong: string[] = []
  #text = ''
  #isAsking = true
  readonly #seconds: number

  constructor(port: number, seconds: number) {
    this.#seconds = seconds
    this.socket = connect(port, '127.0.0.1').setEncoding('utf8')
    this.socket.on('data', (text) => {
      this.#text += String(text)
      for (const lines = this.#text.split('\n'); lines.length > 1; this.#text = lines.join('\n'))
        this.#check(lines.shift()!)
    })
    for (const event of ['error', 'close']) this.socket.on(event, () => this.wrong.push(event))
    this.#ask()
  }

  async stop(): Promise<void> {
    this.#isAsking = false
    const { answered } = this
    await until(() => this.answered > answered, 'the last answer')
    this.socket.removeAllListeners('close').destroy()
  }

  #ask(): void {
    this.socket.write(`${this.answered} ${this.#seconds}\n`)
  }

  #check(line: string): void {
    if ((JSON.parse(line) as { said?: string }).said !== String(this.answered)) this.wrong.push(line)
    this.answered += 1
    if (this.#isAsking) this.#ask()
  }
}

const skip = postgresPrograms() === undefined && 'there is no PostgreSQL server (apt: postgresql)'
t.test('no query fails over upgrades, and each successor has its pool before it serves', { skip }, async (t) => {
  const { env } = await startPostgres(t)
  const observer = new pg.Client({ host: env['PGHOST']!, user: 'postgres', database: 'postgres' })
  await observer.connect()
  t.teardown(() => observer.end())
  const connections = async (pid: number): Promise<number> => {
    const text = 'select count(*)::int as count from pg_stat_activity where application_name = $1'
    const { rows } = await observer.query<{ count: number }>(text, [`shop ${pid}`])
    return rows[0]!.count
  }
  const supervisor = startSupervisor(t, { command: ['node', project(t)], env })
  const port = Number((await supervisor.child.line(/^port (\d+)/))[1])
  const servingPid = async () =>
    ((await supervisor.status()).json as unknown as SupervisorStatus).generations.find(
      ({ state }) => state === 'serving',
    )!.pid!
  let pid = await servingPid()
  const shoppers = [0, 0, 0, 0.4, 0.4].map((seconds) => new Shopper(port, seconds))
  for (let upgrade = 1; upgrade <= 3; upgrade++) {
    await until(() => shoppers.every(({ answered }) => answered >= upgrade), 'answers')
    const before = shoppers.map(({ answered }) => answered)
    const { exitCode, json } = await supervisor.upgrade()
    t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 5, dropped: 0, drained: 0 } } })
    t.ok((json?.followed.sessions ?? 0) >= 1, 'those in the middle of a query have followed')
    t.ok(json?.reasons.some(({ of, reason }) => of === 'held' && reason === 'a query is under way'))
    await until(() => shoppers.every(({ answered }, index) => answered > before[index]!), 'answers after the upgrade')
    const next = await servingPid()
    t.equal(await connections(next), SIZE, 'the pool it has warmed')
    await within(
      gone(() => connections(pid)),
      'the end of the old pool',
    )
    pid = next
  }
  await Promise.all(shoppers.map((shopper) => shopper.stop()))
  t.same(
    shoppers.flatMap(({ wrong }) => wrong),
    [],
  )
  t.equal((await supervisor.stop()).exitCode, 0)
})

t.test('a successor that cannot reach its database does not come', { skip }, async (t) => {
  const { env } = await startPostgres(t)
  const program = project(t)
  const supervisor = startSupervisor(t, { command: ['node', program], env })
  const port = Number((await supervisor.child.line(/^port (\d+)/))[1])
  const shopper = new Shopper(port, 0)
  const { exitCode, json } = await supervisor.upgrade('--', 'env', 'PGHOST=/nowhere', 'node', program)
  t.equal(exitCode, 4)
  t.match(json, { outcome: 'failed', serves: 'predecessor' })
  await shopper.stop()
  t.same(shopper.wrong, [])
})

async function gone(count: () => Promise<number>): Promise<void> {
  while ((await count()) > 0);
}
