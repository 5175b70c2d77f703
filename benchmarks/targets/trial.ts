/** One trial of a target, in fresh processes: `trial.js upgrade SESSIONS ACTIVE MODE` or `trial.js flood MODE`. Prints JSON. */
import assert from 'node:assert/strict'
import { type Child, compiled, startNode } from '../../test/harness/child.js'
import { startSupervisor } from '../../test/harness/supervisor.js'

const WITHIN_MS = 120_000
const STATE_BYTES = '1024'
const RATE = '20'
/** How long the clients are watched before an upgrade: the worst of that time is what it is held against. */
const OBSERVED_MS = 1000
const FLOOD_CONNECTIONS = '50'
const FLOOD_MS = '3000'

export interface UpgradeTrial {
  sessions: number
  pauseMs: { p50: number; p99: number; max: number }
  /** Copy to commit. */
  transferMs: number
  /** Command to committed, less the successor's own start. */
  beyondStartMs: number
  /** Of an active client's message: worst before and during the upgrade. */
  worstBeforeMs: number
  worstDuringMs: number
}

const teardowns: (() => unknown)[] = []
const t = { teardown: (handler: () => unknown) => void teardowns.unshift(handler) }

async function crowd(port: string, ...words: string[]): Promise<Child> {
  const clients = startNode(t, 'benchmarks/targets/crowd.js')
  clients.write(`connect ${port} ${words.join(' ')}\n`)
  await clients.line(/^connected$/, 0, WITHIN_MS)
  return clients
}

async function order<T>(clients: Child, words: string, answer: RegExp): Promise<T> {
  const from = clients.lines.length
  clients.write(`${words}\n`)
  const [line, value] = await clients.line(new RegExp(`${answer.source}|^cut .*$`), from, WITHIN_MS)
  assert.ok(value !== undefined, line)
  return JSON.parse(value) as T
}

async function upgrade(sessions: string, active: string, mode: string): Promise<UpgradeTrial> {
  const command = [
    'node',
    '--max-semi-space-size=64',
    compiled('benchmarks/targets/server.js'),
    sessions,
    STATE_BYTES,
    mode,
  ]
  const supervisor = startSupervisor(t, { command })
  const port = (await supervisor.child.line(/^port (\d+)$/))[1]!
  const clients = await crowd(port, sessions, active, RATE)
  // A first upgrade: its successor is a server as every later one is, and warm.
  const results = []
  let before = { max: 0 }
  let during = { max: 0 }
  for (let round = 0; round < 2; round++) {
    await order(clients, 'report', /^latency (.*)$/)
    await new Promise((resolve) => setTimeout(resolve, OBSERVED_MS))
    before = await order(clients, 'report', /^latency (.*)$/)
    const { exitCode, json } = await supervisor.upgrade()
    assert.equal(exitCode, 0, JSON.stringify(json))
    assert.equal(json?.sessions.moved, Number(sessions))
    during = await order(clients, 'report', /^latency (.*)$/)
    results.push(json!)
  }
  const { pauseMs, phases } = results[1]!
  assert.ok(pauseMs !== null)
  const sum = (...names: string[]): number =>
    phases.reduce((total, { phase, durationMs }) => total + (names.includes(phase) ? durationMs : 0), 0)
  return {
    sessions: Number(sessions),
    pauseMs,
    transferMs: sum('copy', 'transfer', 'vote', 'commit'),
    beyondStartMs: sum('check', 'copy', 'transfer', 'vote', 'commit'),
    worstBeforeMs: before.max,
    worstDuringMs: during.max,
  }
}

async function flood(mode: string): Promise<{ rate: number }> {
  const args = [FLOOD_CONNECTIONS, STATE_BYTES, mode]
  const server =
    mode === 'plain'
      ? startNode(t, 'benchmarks/targets/server.js', args)
      : startSupervisor(t, { command: ['node', compiled('benchmarks/targets/server.js'), ...args] }).child
  const port = (await server.line(/^port (\d+)$/))[1]!
  const clients = await crowd(port, FLOOD_CONNECTIONS, '0', '1')
  return { rate: await order<number>(clients, `flood ${FLOOD_MS}`, /^rate (.*)$/) }
}

const [what, ...words] = process.argv.slice(2)
try {
  const result = what === 'upgrade' ? await upgrade(words[0]!, words[1]!, words[2]!) : await flood(words[0]!)
  console.log(JSON.stringify(result))
} finally {
  for (const teardown of teardowns) await teardown()
}
process.exit()
