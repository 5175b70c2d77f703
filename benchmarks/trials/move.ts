/** A trial: a subject moves its idle sessions under clients that prove it. `move.js PARAMS`; ends with the figures. */
import assert from 'node:assert/strict'
import { type Child, compiled, startNode } from '../../test/harness/child.js'
import type { MoveFigures } from '../statistics.js'
import type { Pinged } from '../subjects/clients.js'
import { SUBJECTS, type Subject } from '../subjects/subjects.js'
import { portOf, runTrial, supervise, t, WITHIN_MS } from './harness.js'

export interface MoveParams {
  subject: Subject
  sessions: number
  stateBytes: number
}

/** A subject up and listening: its output, and the order to move. */
interface Running {
  output: Child
  move(): Promise<void>
}

function start({ subject, sessions, stateBytes }: MoveParams): Running {
  const { file, outstanding } = SUBJECTS[subject]
  const words = [stateBytes, sessions, ...(outstanding === undefined ? [] : [Math.min(outstanding, sessions)])].map(
    String,
  )
  if (file === 'handover') {
    const supervisor = supervise([process.execPath, compiled('benchmarks/subjects/handover.js'), ...words])
    return {
      output: supervisor.child,
      move: async () => {
        const { exitCode, json } = await supervisor.upgrade()
        assert.equal(exitCode, 0, JSON.stringify(json))
        assert.equal(json?.sessions.moved, sessions)
      },
    }
  }
  const child = startNode(t, `benchmarks/subjects/${file}.js`, words)
  return { output: child, move: async () => child.write('move\n') }
}

await runTrial(async (params: MoveParams): Promise<MoveFigures> => {
  const { sessions, stateBytes } = params
  const { output, move } = start(params)
  const clients = startNode(t, 'benchmarks/subjects/clients.js')
  clients.write(`connect ${await portOf(output)} ${sessions}\n`)
  await clients.line(/^connected$/, 0, WITHIN_MS)
  const before = await ping(clients)
  await move()
  const figures = JSON.parse((await output.line(/^moved (.*)$/, 0, WITHIN_MS))[1]!) as MoveFigures
  const after = await ping(clients)
  clients.write('reset\n')
  await clients.exited

  // The work was done, all of it, and it grows with the parameters.
  assert.equal(figures.moved, sessions)
  assert.equal(figures.bytes, sessions * stateBytes)
  assert.equal(after.bytes, figures.bytes)
  assert.equal(after.digest, before.digest)
  assert.equal(before.pids.length, 1)
  assert.equal(after.pids.length, 1)
  assert.notEqual(after.pids[0], before.pids[0])
  return figures
})

async function ping(clients: Child): Promise<Pinged> {
  const from = clients.lines.length
  clients.write('ping\n')
  const [line, answer] = await clients.line(/^(?:pinged (.*)|cut .*)$/, from, WITHIN_MS)
  assert.ok(answer !== undefined, line)
  return JSON.parse(answer) as Pinged
}
