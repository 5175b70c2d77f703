/** One cell of the matrix: a supervisor of its own, an upgrade with one fault in it, and all that must hold after it. */
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { descriptorSorts, isRunning, zombiesOf } from '../harness/census.js'
import { ask } from '../harness/prober.js'
import { scaled, until, within } from '../harness/timeout.js'
import { Clients } from './clients.js'
import { Injector } from './injector.js'
import { PLAIN, type Scenario } from './scenarios.js'
import type { Cell } from './steps.js'
import { TappedSupervisor } from './tapped.js'
import { allowed, type Ending } from './verdict.js'
import { signal } from './victims.js'

const UPGRADE_WITHIN_MS = scaled(30_000)

export type Sorts = Record<string, number>
/** What an undisturbed supervisor and runtime hold when nobody is connected. */
export interface Baseline {
  readonly supervisor: Sorts
  readonly runtime: Sorts
}

export interface CellResult {
  readonly ending: Ending | undefined
  /** Why clients were closed, as the result of the upgrade says. */
  readonly dropped: string | undefined
  /** What was not as it must be. */
  readonly red: readonly string[]
  readonly kinds: ReadonlySet<string>
  readonly sorts: Baseline | undefined
}

type Answer = { result?: UpgradeResult; error?: string }

/** @param cell undefined: nothing goes wrong. */
export async function runCell(
  scenario: Scenario,
  cell: Cell | undefined,
  seed: number,
  baseline: Baseline | undefined,
): Promise<CellResult> {
  const run = new Run(scenario, cell, seed, baseline)
  try {
    await run.run()
  } catch (error) {
    run.red.push((error as Error).message)
  } finally {
    await run.close()
  }
  return { ending: run.ending, dropped: run.dropped, red: run.red, kinds: run.injector.kinds, sorts: run.sorts }
}

class Run {
  readonly red: string[] = []
  readonly injector: Injector
  ending: Ending | undefined
  reason = ''
  dropped: string | undefined
  sorts: Baseline | undefined
  readonly #scenario: Scenario
  readonly #cell: Cell | undefined
  readonly #baseline: Baseline | undefined
  readonly #supervisor: TappedSupervisor
  #clients: Clients | undefined
  #port = 0

  constructor(scenario: Scenario, cell: Cell | undefined, seed: number, baseline: Baseline | undefined) {
    this.#scenario = scenario
    this.#cell = cell
    this.#baseline = baseline
    this.injector = new Injector(cell, seed)
    const itself = () => this.#supervisor
    this.#supervisor = new TappedSupervisor(scenario.first, {
      control: (runtime) =>
        this.injector.gate(itself, runtime === 0 ? 'drain' : 'spawn', () => this.#supervisor.controls[runtime]),
      transfer: () => {
        const gate = this.injector.gate(itself, 'transfer', () => this.#supervisor.transfer)
        return async (from, packet, pass) => {
          if (scenario.leaves && from === 'successor' && this.injector.kinds.has('batch')) this.#clients?.leave()
          return gate(from, packet, pass)
        }
      },
    })
  }

  async run(): Promise<void> {
    this.#port = await this.#supervisor.port()
    if (this.#supervisor.runtimes.length > 1) throw new Error('the machine is too slow for the deadlines of a cell')
    this.#clients = await Clients.open(this.#port, this.#scenario.leaves, this.#scenario.sample)
    await this.#clients.settle()
    const answer = await this.#upgrade(this.#scenario.upgrade)
    await this.injector.end()
    await this.#conclude(answer)
    if (this.#isSupervised) await this.#again()
    this.red.push(...(await this.#clients.finish()))
    await this.#leavesNothing()
    await this.#stop()
    this.red.push(...this.#supervisor.lines.filter((line) => line.startsWith('WRONG')))
    this.red.push(...this.#supervisor.errors.map(String))
  }

  async close(): Promise<void> {
    this.#clients?.destroy()
    await this.injector.end()
    await this.#supervisor.dispose()
  }

  get #isSupervised(): boolean {
    return !this.#supervisor.hasExited
  }

  async #upgrade(command: readonly string[]): Promise<Answer> {
    const asked = this.#supervisor.request<UpgradeResult>({
      verb: 'upgrade',
      command: [...command],
      cwd: process.cwd(),
    })
    return within(
      asked.then(
        (result): Answer => ({ result }),
        (error: Error): Answer => ({ error: error.message }),
      ),
      'the result of the upgrade',
      UPGRADE_WITHIN_MS,
    )
  }

  /** Which ending it was, whether it may be, and whether the result says so. */
  async #conclude({ result, error }: Answer): Promise<void> {
    const { moment } = this.injector
    const clients = this.#clients!
    if (this.#cell !== undefined && moment === undefined) this.red.push('the step was never reached')
    const serving = await this.#servesAlone()
    this.red.push(...(await clients.settle()), ...clients.wrong)
    const { closed } = clients
    const isFirst = serving === this.#supervisor.runtimes[0]
    if (closed === clients.count) this.ending = 'closed'
    else if (closed > 0 && this.#cell?.step.stage === 'follow') this.ending = 'split'
    else if (closed > 0) this.red.push(`${closed} of ${clients.count} clients were closed`)
    else this.ending = isFirst ? 'predecessor' : 'successor'
    this.reason = result?.reasons.map(({ reason }) => reason).join('; ') ?? ''
    this.dropped = result?.reasons.find(({ of }) => of === 'dropped')?.reason
    if (this.#cell !== undefined && moment !== undefined && this.ending !== undefined) {
      const may = allowed(moment, this.#cell.column, this.injector.progress)
      if (!may.includes(this.ending)) this.red.push(`ended with "${this.ending}" where only ${may.join(' or ')} may be`)
    }
    if (result !== undefined) this.#tellsTheTruth(result, closed)
    else if (this.#cell?.column.victim !== 'supervisor' || this.#cell.column.fault !== 'kill')
      this.red.push(`the upgrade has no result: ${error}`)
  }

  #tellsTheTruth({ outcome, sessions, reasons }: UpgradeResult, closed: number): void {
    const said = `${outcome}, ${sessions.moved} moved, ${sessions.dropped} dropped: ${this.reason}`
    const ofDropped = reasons.reduce((sum, { of, count }) => sum + (of === 'dropped' ? count : 0), 0)
    // Who dies when all has been said is no part of the upgrade: that is a crash, and the log says so.
    // An `abort` that is held back here has been said: in the same turn the predecessor told its supervisor, and served on.
    const isOver = this.injector.moment?.isOver || this.#cell?.step.kind === 'abort'
    const mayBeLate = isOver || this.#cell?.column.fault !== 'kill'
    const isCrash =
      mayBeLate && sessions.dropped === 0 && this.#supervisor.lines.some((line) => line.includes('the runtime crashed'))
    if (!isCrash && (sessions.dropped !== closed || ofDropped !== closed))
      this.red.push(`the result counts other than ${closed} closed: ${said}`)
    if (closed === 0 && (outcome === 'committed') !== (this.ending === 'successor'))
      this.red.push(`the clients went on in the ${this.ending}, the result says ${said}`)
    if (outcome === 'committed' && closed === 0 && sessions.moved < this.#clients!.count)
      this.red.push(`the result says ${said}, of ${this.#clients!.count} clients`)
    if (outcome !== 'committed' && reasons.length === 0) this.red.push(`no reason is given: ${said}`)
  }

  /** Resolves when one process serves, and nothing but it and its supervisor is there. */
  async #servesAlone(): Promise<number> {
    const others = () => this.#supervisor.processes().filter(({ pid }) => pid !== this.#supervisor.pid)
    let serving = 0
    await until(
      () => others().length === 1,
      () => `one runtime; there are ${others().map(({ pid, state }) => `${pid} (${state})`)}`,
      scaled(10_000),
    )
    const giveUpAt = performance.now() + scaled(10_000)
    for (let answers = 0; answers < 3; ) {
      try {
        const { pid } = await within(ask(this.#port), 'an answer to a new connection', scaled(5_000))
        if (answers > 0 && pid !== serving && isRunning(serving)) this.red.push(`both ${pid} and ${serving} serve`)
        // One that was about to be ended may have answered first.
        answers = pid === serving ? answers + 1 : 1
        serving = pid
      } catch (error) {
        // Started again after a crash it takes a moment; the socket is open all along.
        if (performance.now() > giveUpAt) throw error
      }
    }
    return serving
  }

  /** The next upgrade works, with all the clients there still are. */
  async #again(): Promise<void> {
    const open = this.#clients!.count - this.#clients!.closed
    const { result, error } = await this.#upgrade(PLAIN)
    if (result?.outcome !== 'committed' || result.sessions.moved < open)
      this.red.push(`the next upgrade ended with ${JSON.stringify(result ?? error)}`)
    await this.#servesAlone()
    const closed = this.#clients!.closed
    this.red.push(...(await this.#clients!.settle()), ...this.#clients!.wrong)
    if (this.#clients!.closed !== closed) this.red.push('the next upgrade closed clients')
  }

  async #leavesNothing(): Promise<void> {
    const runtime = await this.#servesAlone()
    const { pid } = this.#supervisor
    const isSupervised = this.#isSupervised
    const look = () => ({
      supervisor: isSupervised ? this.#sortsOf(pid) : {},
      runtime: this.#sortsOf(runtime),
    })
    const more = (now: Sorts, before: Sorts) =>
      Object.entries(now)
        .filter(([sort, count]) => count > (before[sort] ?? 0))
        .map(([sort, count]) => `${count} ${sort}`)
    const { supervisor = {}, runtime: atMost = {} } = this.#baseline ?? {}
    this.sorts = look()
    if (this.#baseline !== undefined) {
      const surplus = () => {
        this.sorts = look()
        return [...more(this.sorts.supervisor, supervisor), ...more(this.sorts.runtime, atMost)]
      }
      await until(
        () => surplus().length === 0,
        () => `no descriptor left behind; there are ${surplus()}`,
        scaled(5_000),
      ).catch((error: Error) => this.red.push(error.message))
    }
    if (isSupervised) this.red.push(...zombiesOf(pid).map((zombie) => `zombie ${zombie.pid}`))
  }

  /** Paths without the folder that only this run has. */
  #sortsOf(pid: number): Sorts {
    const sorts = Object.entries(descriptorSorts(pid))
    return Object.fromEntries(sorts.map(([sort, count]) => [sort.replace(this.#supervisor.directory, ''), count]))
  }

  async #stop(): Promise<void> {
    if (this.#isSupervised) {
      await within(this.#supervisor.request({ verb: 'stop' }), 'the answer to stop')
      await until(() => this.#supervisor.hasExited, 'the end of the supervisor')
      this.red.push(...this.#supervisor.paths().map((path) => `${path} was left behind`))
    } else for (const { pid } of this.#supervisor.processes()) signal(pid, 'SIGTERM')
    await until(
      () => this.#supervisor.processes().length === 0,
      () => `no process left; there are ${this.#supervisor.processes().map(({ pid }) => pid)}`,
      scaled(5_000),
    )
  }
}
