/** One trial in a fresh process: a subject moves its sessions under clients that prove it. Prints figures as one line. */
import assert from 'node:assert/strict'
import { type Child, compiled, startNode } from '../test/harness/child.js'
import { startSupervisor } from '../test/harness/supervisor.js'
import type { Pinged } from './clients.js'
import type { Subject } from './run.js'
import type { MoveFigures } from './statistics.js'

const WITHIN_MS = 120_000
const teardowns: (() => unknown)[] = []
const t = { teardown: (handler: () => unknown) => void teardowns.unshift(handler) }

/** A subject up and listening: its output, and the order to move. */
interface Running {
  output: Child
  move(): Promise<void>
}

function start(subject: Subject, size: string, sessions: string): Running {
  if (subject === 'handover') {
    const command = ['node', compiled('benchmarks/subjects/handover.js'), size, sessions]
    const supervisor = startSupervisor(t, { command })
    return {
      output: supervisor.child,
      move: async () => {
        const { exitCode, json } = await supervisor.upgrade()
        assert.equal(exitCode, 0, JSON.stringify(json))
        assert.equal(json?.sessions.moved, Number(sessions))
      },
    }
  }
  const outstanding = subject === 'ipc-all' ? [sessions] : subject === 'ipc' ? ['64'] : []
  const file = subject === 'floor' ? 'floor' : 'ipc'
  const child = startNode(t, `benchmarks/subjects/${file}.js`, [size, sessions, ...outstanding])
  return { output: child, move: async () => child.write('move\n') }
}

async function trial(subject: Subject, sessions: string, size: string): Promise<MoveFigures> {
  const { output, move } = start(subject, size, sessions)
  const port = (await output.line(/^port (\d+)$/))[1]!
  const clients = startNode(t, 'benchmarks/clients.js')
  clients.write(`connect ${port} ${sessions}\n`)
  await clients.line(/^connected$/, 0, WITHIN_MS)
  const before = await ping(clients)
  await move()
  const figures = JSON.parse((await output.line(/^moved (.*)$/, 0, WITHIN_MS))[1]!) as MoveFigures
  const after = await ping(clients)
  clients.write('reset\n')
  await clients.exited

  // The work was done, all of it, and it grows with the parameters.
  assert.equal(figures.moved, Number(sessions))
  assert.equal(figures.bytes, Number(sessions) * Number(size))
  assert.equal(after.bytes, figures.bytes)
  assert.equal(after.digest, before.digest)
  assert.equal(before.pids.length, 1)
  assert.equal(after.pids.length, 1)
  assert.notEqual(after.pids[0], before.pids[0])
  return figures
}

async function ping(clients: Child): Promise<Pinged> {
  const from = clients.lines.length
  clients.write('ping\n')
  const [line, answer] = await clients.line(/^(?:pinged (.*)|cut .*)$/, from, WITHIN_MS)
  assert.ok(answer !== undefined, line)
  return JSON.parse(answer) as Pinged
}

const [subject, sessions, size] = process.argv.slice(2) as [Subject, string, string]
try {
  const figures = await trial(subject, sessions, size)
  console.log(JSON.stringify(figures))
} finally {
  for (const teardown of teardowns) await teardown()
}
process.exit()
