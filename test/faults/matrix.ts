/** Runs cells, some at a time, each in the first scenario that has its message. */
import { type Baseline, type CellResult, runCell } from './cell.js'
import { SCENARIOS, type Scenario } from './scenarios.js'
import { type Cell, isOnTransfer, STEPS } from './steps.js'

export interface Outcome extends CellResult {
  readonly cell: Cell
  readonly ms: number
}

export interface Rehearsal {
  readonly baseline: Baseline
  /** The scenario in which a message occurs. */
  readonly scenarioOf: ReadonlyMap<string, Scenario>
  /** Faults without a fault: the harness itself, or the product, is not sound. */
  readonly red: readonly string[]
}

/** Each scenario once, with nothing going wrong: what occurs in it, and what is there after it. */
export async function rehearse(): Promise<Rehearsal> {
  const scenarioOf = new Map<string, Scenario>()
  const red: string[] = []
  let baseline: Baseline | undefined
  for (const scenario of SCENARIOS) {
    const result = await runCell(scenario, undefined, 0, baseline)
    baseline ??= result.sorts
    for (const kind of result.kinds) if (!scenarioOf.has(kind)) scenarioOf.set(kind, scenario)
    red.push(...result.red.map((what) => `rehearsal "${scenario.name}": ${what}`))
  }
  const kinds = new Set(STEPS.filter(isOnTransfer).map(({ kind }) => kind))
  for (const kind of kinds) if (!scenarioOf.has(kind)) red.push(`no scenario has the message "${kind}"`)
  if (baseline === undefined) throw new Error(`the rehearsal failed:\n${red.join('\n')}`)
  return { baseline, scenarioOf, red }
}

/** @param onOutcome called as each ends, in the order they do. */
export async function runCells(
  cells: readonly Cell[],
  { baseline, scenarioOf }: Rehearsal,
  seed: number,
  jobs: number,
  onOutcome: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const queue = [...cells.entries()]
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, cell] = next
      const scenario = isOnTransfer(cell.step) ? scenarioOf.get(cell.step.kind) : SCENARIOS[0]
      if (scenario === undefined) continue
      const began = performance.now()
      const result = await runCell(scenario, cell, seed + index, baseline)
      const outcome = { ...result, cell, ms: performance.now() - began }
      outcomes.push(outcome)
      onOutcome(outcome)
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return cells.flatMap((cell) => outcomes.find((outcome) => outcome.cell === cell) ?? [])
}
