/** A server of the tests as a service: its release is what a file says, so that `systemctl reload` goes to another one. */
import type { SupervisorStatus } from '../../../src/supervisor/status.js'
import { Oracle } from '../../harness/oracle.js'
import { freePort } from '../../harness/port.js'
import { CLI, type Machine } from './machine.js'

export interface TestService {
  readonly name: string
  readonly unit: string
  readonly port: number
  /** What the next release is started with: options of test/fixtures/stream-server.ts. */
  release(...options: string[]): void
  /** `handover status` inside. */
  status(): Promise<SupervisorStatus>
  /** The process that serves, as it is numbered inside. */
  servingPid(): Promise<number>
  connect(count: number, push?: number): Promise<Oracle[]>
}

/** Installs its unit; it is not started. @param options of `handover unit` and `run`. */
export async function installService(
  machine: Machine,
  name: string,
  options: readonly string[] = [],
  at?: number,
): Promise<TestService> {
  const port = at ?? (await freePort())
  const release = (...words: string[]): void =>
    void machine.write(`${name}/release.json`, JSON.stringify(['--port', String(port), ...words]))
  release()
  const server = machine.write(
    `${name}/server.mjs`,
    `import { readFileSync } from 'node:fs'
process.argv.push(...JSON.parse(readFileSync(new URL('release.json', import.meta.url), 'utf8')))
await import('/srv/handover/dist/test/fixtures/stream-server.js')
`,
  )
  await machine.must('node', CLI, 'unit', '--install', '--name', name, ...options, '--', 'node', server)
  return { ...serviceOf(machine, name, port), release }
}

/** One that is installed. */
export function serviceOf(machine: Machine, name: string, port: number): Omit<TestService, 'release'> {
  const status = async (): Promise<SupervisorStatus> =>
    JSON.parse(await machine.must('node', CLI, 'status', '--json', '--name', name)) as SupervisorStatus
  let seed = port * 100
  return {
    name,
    unit: `handover-${name}.service`,
    port,
    status,
    servingPid: async () => {
      const { generations } = await status()
      const pid = generations.find(({ state }) => state === 'serving')?.pid
      if (pid == null) throw new Error(`nobody serves: ${JSON.stringify(generations)}`)
      return pid
    },
    connect: (count, push = 0) =>
      Promise.all(Array.from({ length: count }, () => Oracle.open({ port, seed: seed++, push }))),
  }
}

/** Sends without a pause, checks what comes, until it is stopped. */
export function drive(oracles: readonly Oracle[]): { stop(): Promise<void> } {
  let isStopped = false
  const run = async (oracle: Oracle): Promise<void> => {
    while (!isStopped) {
      oracle.send(512)
      await oracle.reach(oracle.expected)
      await new Promise(setImmediate)
    }
    await oracle.finish()
  }
  const all = Promise.all(oracles.map(run))
  // It is heard of by stop().
  all.catch(() => undefined)
  return {
    stop: async () => {
      isStopped = true
      await all
    },
  }
}
