/** The clients, in processes of their own so that the load is honest, and what they found together. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { merge, noLatencies } from './latency.js'
import type { Answer, LoadReport, Order } from './load.js'
import type { Report } from './report.js'

const PROCESSES = 2

export class Crowd {
  readonly clients: number
  readonly #processes: ChildProcess[]

  private constructor(clients: number, processes: ChildProcess[]) {
    this.clients = clients
    this.#processes = processes
  }

  /** Connects that many clients and resolves when all are in their rooms. */
  static async enter(port: number, clients: number): Promise<Crowd> {
    const load = fileURLToPath(new URL('load.js', import.meta.url))
    const crowd = new Crowd(
      clients,
      Array.from({ length: PROCESSES }, () => fork(load)),
    )
    const each = clients / PROCESSES
    const entered = crowd.#answers()
    for (const [index, child] of crowd.#processes.entries()) {
      child.send({ order: 'enter', port, firstClient: index * each, clients: each } satisfies Order)
    }
    await entered.catch(async (error: unknown) => {
      await crowd.disperse()
      throw error
    })
    return crowd
  }

  tell(order: Order): void {
    for (const child of this.#processes) child.send(order)
  }

  async finish(): Promise<Pick<Report, 'linesSaid' | 'bytes' | 'connections' | 'connects' | 'latency' | 'examples'>> {
    const answers = this.#answers()
    const ended = Promise.all(this.#processes.map((child) => once(child, 'exit')))
    this.tell({ order: 'finish' })
    const reports = (await answers) as unknown as LoadReport[]
    await ended
    const sum = (of: (report: LoadReport) => number): number => reports.reduce((total, report) => total + of(report), 0)
    const latencies = (period: string) => merge(reports.map((report) => report.latencies[period] ?? noLatencies()))
    const releases: Record<string, number> = {}
    for (const { connects } of reports) {
      for (const [release, count] of Object.entries(connects.releases))
        releases[release] = (releases[release] ?? 0) + count
    }
    return {
      linesSaid: sum(({ linesSaid }) => linesSaid),
      bytes: {
        checked: sum(({ findings }) => findings.checked),
        lost: sum(({ findings }) => findings.lost),
        doubled: sum(({ findings }) => findings.doubled),
        wrong: sum(({ findings }) => findings.wrong),
      },
      connections: { dropped: sum(({ findings }) => findings.dropped) },
      connects: {
        made: sum(({ connects }) => connects.made),
        refused: sum(({ connects }) => connects.refused),
        releases,
      },
      latency: { between: latencies('between'), upgrading: latencies('upgrading') },
      examples: reports.flatMap(({ findings }) => findings.examples).slice(0, 10),
    }
  }

  /** Ends the processes without asking what they found. */
  async disperse(): Promise<void> {
    const running = this.#processes.filter((child) => child.exitCode === null && child.signalCode === null)
    const ended = Promise.all(running.map((child) => once(child, 'exit')))
    for (const child of running) child.kill('SIGKILL')
    await ended
  }

  #answers(): Promise<Answer[]> {
    return Promise.all(
      this.#processes.map(
        (child) =>
          new Promise<Answer>((resolve, reject) => {
            child.once('message', (answer) => resolve(answer as Answer))
            child.once('exit', () => reject(new Error('a load process ended before it had answered')))
          }),
      ),
    )
  }
}
