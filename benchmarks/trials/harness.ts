/** What trials have in common: each is a process of its own, takes its parameters as JSON, and ends with a line of JSON. */
import assert from 'node:assert/strict'
import { type Child, compiled, startNode } from '../../test/harness/child.js'
import { startSupervisor, type TestSupervisor } from '../../test/harness/supervisor.js'
import { RATE } from '../plan.js'
import type { WireName } from '../protocols.js'

/** Bounds failure. */
export const WITHIN_MS = 120_000

const teardowns: (() => unknown)[] = []
export const t = { teardown: (handler: () => unknown) => void teardowns.unshift(handler) }

let tornDown: Promise<void> | undefined

function tearDown(): Promise<void> {
  tornDown ??= (async () => {
    for (const teardown of teardowns.splice(0)) await teardown()
  })()
  return tornDown
}

/** Runs it, and ends the process with nothing left behind, also when it fails or is told to stop. */
export async function main(run: () => Promise<void>): Promise<never> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Not once: a second one, from a terminal and from who started us, must not end it in the middle.
    process.on(signal, () => void tearDown().finally(() => process.exit(1)))
  }
  let status = 0
  try {
    await run()
  } catch (error) {
    console.error(error)
    status = 1
  } finally {
    await tearDown()
  }
  process.exit(status)
}

/** A trial takes its parameters as JSON, and says its result as JSON. */
export const runTrial = <Params>(trial: (params: Params) => Promise<unknown>): Promise<never> =>
  main(async () => console.log(JSON.stringify(await trial(JSON.parse(process.argv[2] ?? '{}') as Params))))

type Order = <T>(...words: (string | number)[]) => Promise<T>

export interface Crowd {
  connect(port: number, count: number, active?: number, protocol?: WireName): Promise<void>
  readonly order: Order
}

/** Asks a process that answers each line of its stdin by `answer JSON`. */
export function orderOf(child: Child): Order {
  return async <T>(...words: (string | number)[]): Promise<T> => {
    const from = child.lines.length
    child.write(`${words.join(' ')}\n`)
    const [line, answer] = await child.line(/^answer (.*)$|^cut .*$|Error:/, from, WITHIN_MS)
    assert.ok(answer !== undefined, line)
    return JSON.parse(answer) as T
  }
}

export function startCrowd(): Crowd {
  const order = orderOf(startNode(t, 'benchmarks/crowd.js'))
  return {
    connect: async (port, count, active = 0, protocol = 'tcp') => {
      assert.equal(await order('connect', protocol, port, count, active, RATE), count)
    },
    order,
  }
}

/** Time is what is measured here: nothing else is waited for. */
export function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The port a server says it listens on. */
export const portOf = async (server: Child): Promise<number> =>
  Number((await server.line(/^port (\d+)$/, 0, WITHIN_MS))[1])

/** The command of a server of the benchmarks, run by this Node or the one given. */
export type ServerFile = 'echo' | 'http' | 'fastify' | 'ws' | 'socket-io'

export function serverCommand(file: ServerFile, words: readonly unknown[], node = process.execPath): string[] {
  // A large young generation: what a successor is handed lives long, and would be copied again and again.
  return [node, '--max-semi-space-size=64', compiled(`benchmarks/servers/${file}.js`), ...words.map(String)]
}

export const supervise = (command: readonly string[]): TestSupervisor => startSupervisor(t, { command })
