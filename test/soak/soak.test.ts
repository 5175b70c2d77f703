/**
 * Generation after generation under load: what is there after one upgrade is what is there after all of them. Here a few;
 * `npm run test:soak` takes 100, `-- --generations N` others.
 */

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import t from 'tap'
import { compiled } from '../harness/child.js'
import { census, censusLike, type Fixpoint } from '../harness/fixpoint.js'
import { Load } from '../harness/load.js'
import { ask } from '../harness/prober.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'

const GENERATIONS = Number(process.env['HANDOVER_SOAK_GENERATIONS'] ?? 8)
const CLIENTS = 40
/** The first generations warm up: caches, compiled code, the heap's own size. */
const WARM_UP = Math.ceil(GENERATIONS / 5)
/** What the line through the memory of the others may rise by from the first of them to the last. */
const MOST_GROWTH_MIB = 12

t.setTimeout(scaled(110_000))

/** What is in a process' memory, in MiB. */
function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024
}

/** What keeps the event loop of the runtime that serves: timers, sockets, watchers. */
function busy(port: number): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    let said = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('data', (text) => (said += text.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(said.trim()))
    socket.write('busy\n')
  })
  return within(answer, 'what keeps the runtime busy')
}

/** Least squares: by how much the line through the values rises over all of them. */
function rise(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let upper = 0
  let lower = 0
  for (const [index, value] of values.entries()) {
    upper += (index - middle) * (value - mean)
    lower += (index - middle) ** 2
  }
  return (upper / lower) * (values.length - 1)
}

t.test(`${GENERATIONS} generations under load`, async (t) => {
  const supervisor = startSupervisor(t, { command: ['node', compiled('test/fixtures/mode-server.js')] })
  const port = Number((await supervisor.child.line(READY))[4])
  const load = (await Load.open(port, CLIENTS)).start()
  const memory: { supervisor: number; runtime: number }[] = []
  let first: { census: Fixpoint; busy: string } | undefined

  for (let generation = 1; generation <= GENERATIONS; generation += 1) {
    await load.progress()
    const { exitCode, json, lines } = await supervisor.upgrade()
    if (exitCode !== 0 || json?.sessions.dropped !== 0) {
      t.fail(`upgrade ${generation}`, { lines })
      break
    }
    await until(() => supervisor.processes().length === 2, 'the end of the predecessor')
    await load.progress()
    const { pid } = await ask(port)
    memory.push({ supervisor: residentMiB(supervisor.child.pid), runtime: residentMiB(pid) })
    // Not the first: what it was started with a successor is not.
    if (generation === 2) first = { census: await census(supervisor, port), busy: await busy(port) }
  }

  t.same(await censusLike(first!.census, supervisor, port), first!.census, 'descriptors, processes, paths')
  let last = await busy(port)
  const giveUpAt = performance.now() + scaled(5_000)
  while (last !== first!.busy && performance.now() < giveUpAt) last = await busy(port)
  t.equal(last, first!.busy, 'timers and whatever else keeps the event loop')
  for (const process of ['supervisor', 'runtime'] as const) {
    const values = memory.slice(WARM_UP).map((each) => each[process])
    const growth = rise(values)
    t.comment(
      `${process}: ${values[0]?.toFixed(1)} to ${values.at(-1)?.toFixed(1)} MiB, the line rises by ${growth.toFixed(1)}`,
    )
    t.ok(growth < MOST_GROWTH_MIB, `${process}: the line through its memory rises by ${growth.toFixed(1)} MiB`)
  }
  const { bytes } = await load.finish()
  t.comment(`${bytes} bytes checked`)
  t.same(
    supervisor.child.lines.filter((line) => line.startsWith('WRONG')),
    [],
  )
  t.equal((await supervisor.stop()).exitCode, 0)
  t.same(supervisor.processes(), [])
})
