/** A server of several workers under load: each has clients of its own, from the start. */
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { GenerationStatus, SupervisorStatus } from '../../src/supervisor/status.js'
import { descriptorSorts, isRunning } from './census.js'
import { Load } from './load.js'
import { stream } from './stream.js'
import { READY, startSupervisor, type TestSupervisor } from './supervisor.js'
import { scaled, until } from './timeout.js'

export interface Cluster {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly count: number
  readonly loads: Load[]
  /** What serves, in the order of the workers. */
  serving(): Promise<GenerationStatus[]>
  /** Clients that come to one worker, talking already. */
  loadOn(worker: number, clients: number): Promise<Load>
  /** All clients have got more bytes, and all of them right. */
  progress(): Promise<void>
  /** Ends all clients; throws unless every byte of theirs was right. */
  finish(): Promise<void>
}

export interface ClusterOptions {
  readonly workers?: number
  /** For each worker. */
  readonly clients?: number
  readonly options?: readonly string[]
  readonly args?: readonly string[]
}

export async function cluster(
  t: Test,
  { workers = 3, clients = 10, options = [], args = [] }: ClusterOptions = {},
): Promise<Cluster> {
  const supervisor = startSupervisor(t, {
    options: ['--workers', String(workers), '--freeze', `${scaled(1_000)}ms`, ...options],
    command: stream(...args),
  })
  const port = Number((await supervisor.child.line(READY))[4])
  const statusOf = async () => (await supervisor.status()).json as unknown as SupervisorStatus
  const loads: Load[] = []
  let seeds = 1
  const self: Cluster = {
    supervisor,
    port,
    count: workers,
    loads,
    async serving() {
      const { generations } = await statusOf()
      return generations.filter(({ state }) => state === 'serving').sort((a, b) => a.worker - b.worker)
    },
    async loadOn(worker, count) {
      const rows = await self.serving()
      const others = rows.flatMap((row) => (row.worker === worker ? [] : [row.pid!]))
      // Who is stopped does not accept: all that come meanwhile come to this one.
      for (const pid of others) process.kill(pid, 'SIGSTOP')
      try {
        const load = await Load.open(port, count, seeds)
        seeds += count
        loads.push(load.start())
        await load.progress()
        return load
      } finally {
        for (const pid of others) process.kill(pid, 'SIGCONT')
      }
    },
    async progress() {
      await Promise.all(loads.map((load) => load.progress()))
    },
    async finish() {
      await Promise.all(loads.splice(0).map((load) => load.finish()))
    },
  }
  for (let worker = 0; worker < workers; worker++)
    await supervisor.child.line(new RegExp(`"worker":${worker}.*"msg":"serving"`))
  if (clients > 0) for (let worker = 0; worker < workers; worker++) await self.loadOn(worker, clients)
  return self
}

/** Descriptors of each worker and of the supervisor, once no connection is open. */
export async function descriptorsOf({ supervisor, serving }: Cluster): Promise<Record<string, number>[]> {
  const pids = (await serving()).map(({ pid }) => pid!)
  return [supervisor.child.pid, ...pids].map(descriptorSorts)
}

export const pidsOf = async ({ serving }: Cluster): Promise<number[]> => (await serving()).map(({ pid }) => pid!)

/** What an upgrade is given whose successor does that in one worker only. */
export const faulty = (worker: number, fault: string, ...more: string[]): string[] => [
  '--',
  ...stream('--fault', fault, '--fault-worker', String(worker), ...more),
]

/** Everybody serves on who did, and all that was there is there. */
export async function servesOn(t: Test, served: Cluster, pids: readonly number[]): Promise<void> {
  await served.progress()
  t.same(await pidsOf(served), pids, 'the predecessors serve on')
  const rows = await served.serving()
  t.same(
    rows.map(({ sessions }) => sessions?.['stream']),
    served.loads.map(({ clients }) => clients.length),
  )
}

export async function goodUpgrade(t: Test, served: Cluster): Promise<void> {
  const before = await pidsOf(served)
  const moved = served.loads.reduce((sum, { clients }) => sum + clients.length, 0)
  const { exitCode, json } = await served.supervisor.upgrade('--', ...stream())
  t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', serves: 'successor', sessions: { moved } } })
  await served.progress()
  t.notOk(before.some(isRunning), 'all predecessors are gone')
}

/** A predecessor that has its successor's vote waits for what all decide: it polls the channel and the bell. */
export async function waitsForOthers(pid: number, waits = true): Promise<void> {
  const isWaiting = (): boolean => {
    // proc(5): number of the call (poll is 7, ppoll 271 on x86-64; ppoll 73 on arm64), then its arguments.
    const [call, , count] = readFileSync(`/proc/${pid}/syscall`, 'latin1').split(' ')
    return ['7', '271', '73'].includes(call!) && Number(count) === 2
  }
  await until(() => isWaiting() === waits, `process ${pid} ${waits ? 'to wait for the others' : 'to go on'}`)
}
