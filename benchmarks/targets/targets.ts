/** The targets in groups; a group is measured together. */
import { type Bench, reasonOf } from '../bench.js'
import { type Target, unmeasured } from '../verdict.js'
import { type GoalName, type Goals, goalsOf } from './goals.js'
import { measureGrowth, measureGrowthOfPairs } from './growth.js'
import { measureIndependent } from './independent.js'
import { measureAllAtOnce, measureIndependentMemory, measureLarge, measureLargeIndependent } from './memory.js'
import { measureCommand, measurePause, measurePauseRatio } from './pause.js'
import { measureRate, measureRateOnNode24, measureRatios } from './rate.js'
import { measureEcho, measureFastify, measureHttp, measureSocketIo, measureWs } from './throughput.js'

export type Measure = (bench: Bench, goals: Goals) => Promise<Target[]>

interface Group {
  readonly names: readonly GoalName[]
  readonly measure: Measure
}

export const GROUPS: readonly Group[] = [
  { names: ['P1', 'P1max'], measure: measurePause },
  { names: ['P1ratio'], measure: measurePauseRatio },
  { names: ['P1i', 'P1ilatency'], measure: measureIndependent },
  { names: ['P2'], measure: measureRate },
  { names: ['P2all', 'P2best'], measure: measureRatios },
  { names: ['P2node24'], measure: measureRateOnNode24 },
  { names: ['P3'], measure: measureGrowth },
  { names: ['P3pairs'], measure: measureGrowthOfPairs },
  { names: ['P4'], measure: measureEcho },
  { names: ['P4http'], measure: measureHttp },
  { names: ['P4fastify'], measure: measureFastify },
  { names: ['P4ws'], measure: measureWs },
  { names: ['P4socketio'], measure: measureSocketIo },
  { names: ['P5'], measure: measureAllAtOnce },
  { names: ['P5large'], measure: measureLarge },
  { names: ['P5i'], measure: measureIndependentMemory },
  { names: ['P5ilarge'], measure: measureLargeIndependent },
  { names: ['P6'], measure: measureCommand },
]

/** `P1` means all that begins so, `P1i` too, `P1max` only itself. */
export const isSelected = (name: string, selection: readonly string[]): boolean =>
  selection.some((word) => name.startsWith(word))

/**
 * Each target that is selected, measured or with the reason why not. A trial that fails is such a reason too, and is said
 * on stderr: the others are measured all the same.
 */
export async function measureTargets(
  bench: Bench,
  selection: readonly string[],
): Promise<{ targets: Target[]; failures: number }> {
  const goals = goalsOf(bench.plan)
  const targets: Target[] = []
  let failures = 0
  for (const { names, measure } of GROUPS) {
    const wanted = names.filter((name) => isSelected(name, selection))
    if (wanted.length === 0) continue
    try {
      targets.push(...(await measure(bench, goals)).filter(({ name }) => isSelected(name, selection)))
    } catch (error) {
      failures++
      process.stderr.write(`${(error as Error).stack}\n`)
      targets.push(...wanted.map((name) => unmeasured(goals[name], `the trial failed: ${reasonOf(error)}`)))
    }
  }
  return { targets, failures }
}
