/** What the measurements of one run share: its plan, its trials, and each series of trials made once, whoever asks for it. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cleanEnvironment } from '../test/harness/child.js'
import type { Plan } from './plan.js'
import type { MoveFigures } from './statistics.js'
import { SUBJECTS, type Subject } from './subjects/subjects.js'
import type { MoveParams } from './trials/move.js'
import type { UpgradeParams, UpgradeTrial } from './trials/upgrade.js'

/** Bounds a trial that hangs; SIGTERM lets it take down what it started. */
const TRIAL_WITHIN_MS = 600_000

/** One of each in turn, so that a machine that slows down slows all of them. */
export interface Round {
  readonly moves: Readonly<Record<Subject, MoveFigures>>
  readonly upgrade: UpgradeTrial
}

export class Bench {
  readonly plan: Plan
  /** The path of a Node of that line, or why there is none. */
  readonly nodeOf: (major: number) => Promise<string | Error>
  readonly #series = new Map<string, Promise<unknown[]>>()
  #rounds: Promise<Round[]> | undefined

  constructor(plan: Plan, nodeOf: Bench['nodeOf']) {
    this.plan = plan
    this.nodeOf = nodeOf
  }

  /** As many trials as the plan has, each in a fresh process. */
  series<Trial, Params extends object>(file: string, params: Params): Promise<Trial[]> {
    return this.#once(`${file} ${JSON.stringify(params)}`, async () => {
      const trials: Trial[] = []
      for (let trial = 0; trial < this.plan.trials; trial++) trials.push(await this.#run<Trial>(file, params))
      return trials
    })
  }

  /** Several kinds of trial, alternated; one row for each round. */
  alternate<Trial, Params extends object>(file: string, each: readonly Params[]): Promise<Trial[][]> {
    return this.#once(`${file} ${JSON.stringify(each)}`, async () => {
      const rounds: Trial[][] = []
      for (let round = 0; round < this.plan.trials; round++) {
        const row: Trial[] = []
        for (const params of each) row.push(await this.#run<Trial>(file, params))
        rounds.push(row)
      }
      return rounds
    })
  }

  upgradeParams(more: Partial<UpgradeParams>): UpgradeParams {
    const { sessions, stateBytes, observedMs } = this.plan
    return { sessions, stateBytes, active: 0, mode: 'touch', observedMs, ...more }
  }

  /** Idle sessions moved by the library and by its peers. */
  rounds(): Promise<Round[]> {
    this.#rounds ??= this.#measureRounds()
    return this.#rounds
  }

  async #measureRounds(): Promise<Round[]> {
    const { sessions, stateBytes, trials } = this.plan
    const rounds: Round[] = []
    for (let round = 0; round < trials; round++) {
      const moves: Partial<Record<Subject, MoveFigures>> = {}
      for (const subject of Object.keys(SUBJECTS) as Subject[]) {
        moves[subject] = await this.#run<MoveFigures>('move', { subject, sessions, stateBytes } satisfies MoveParams)
      }
      const upgrade = await this.#run<UpgradeTrial>('upgrade', this.upgradeParams({ observedMs: 0 }))
      rounds.push({ moves: moves as Round['moves'], upgrade })
    }
    return rounds
  }

  #once<T>(key: string, measure: () => Promise<T[]>): Promise<T[]> {
    const known = this.#series.get(key) ?? measure()
    this.#series.set(key, known)
    return known as Promise<T[]>
  }

  async #run<Trial>(file: string, params: object): Promise<Trial> {
    process.stderr.write(`trial: ${file} ${JSON.stringify(params)}\n`)
    return runFresh<Trial>(`trials/${file}.js`, params)
  }
}

/** Runs a compiled file of this folder in a process of its own; its last line is the result. Told to stop, it is stopped too. */
export async function runFresh<Result>(file: string, params: object): Promise<Result> {
  const args = ['--enable-source-maps', fileURLToPath(new URL(file, import.meta.url)), JSON.stringify(params)]
  const options = { env: cleanEnvironment(), timeout: TRIAL_WITHIN_MS, maxBuffer: 1 << 26 }
  const trial = promisify(execFile)(process.execPath, args, options)
  const stop = (): void => {
    trial.child.once('close', () => process.exit(1))
    trial.child.kill('SIGTERM')
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.once(signal, stop)
  try {
    const { stdout } = await trial
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Result
  } finally {
    for (const signal of signals) process.off(signal, stop)
  }
}

/** Of a program that failed, what it said is the reason, not how it was called. */
export function reasonOf(error: unknown): string {
  const { message, stderr } = error as Error & { stderr?: string }
  const said = stderr?.split('\n').find((line) => /Error\b/.test(line))
  return (said ?? message.split('\n')[0] ?? '').slice(0, 300)
}
