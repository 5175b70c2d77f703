/** Steps between versions, in both directions, against the recorded shapes of the versions they lead to. */
import { messageOf } from '../errors.js'
import { readableVersions, stepDown, stepUp, type Versioned, writableVersions } from '../runtime/versions.js'
import { type Envelope, openState, sealState } from '../wire/envelope.js'
import { compare, recordPaths } from './compare.js'
import { type Shape, shapeOf } from './shape.js'
import type { Recorded } from './store.js'
import type { Subject } from './subject.js'

/** Steps that are neither there nor said to be left out, between the current version and the oldest recorded one. */
export function missingSteps({ definition, without = {} }: Subject, recorded: readonly number[]): string[] {
  const { version, upgrade = {}, downgrade = {} } = definition
  const oldest = Math.min(version, ...recorded)
  const gaps = (direction: 'upgrade' | 'downgrade', stepOf: (below: number) => number): string[] => {
    const steps = direction === 'upgrade' ? upgrade : downgrade
    const left = without[direction] ?? []
    const needless = left.filter((step) => steps[step] !== undefined)
    if (needless.length > 0) return [`${direction} step ${needless[0]} is said to be left out, but it is there`]
    for (let below = version - 1; below >= oldest; below--) {
      const step = stepOf(below)
      // Nothing is reached beyond a step that is left out on purpose.
      if (left.includes(step)) return []
      if (steps[step] === undefined) return [`${direction} step ${step} is missing, and version ${below} may be in use`]
    }
    return []
  }
  return [...gaps('upgrade', (below) => below), ...gaps('downgrade', (below) => below + 1)]
}

interface Source {
  readonly name: string
  /** State of the current version, made anew: a step may change what it is given. */
  make(): unknown
}

/**
 * Every recorded sample of an older version is stepped up, and all that is of the current version then (captured now,
 * recorded, stepped up) is stepped down to every version that can be written.
 * @param known every recorded version, and the current one.
 */
export function checkSteps(
  definition: Versioned,
  known: ReadonlyMap<number, Recorded>,
  captured: readonly Envelope[],
): string[] {
  const { version } = definition
  const problems: string[] = []
  const passes = (name: string, make: () => unknown, shape: Shape | undefined): boolean => {
    const wrong = misfits(make, shape)
    problems.push(...wrong.map((why) => `${name}: ${why}`))
    return wrong.length === 0
  }
  const samplesOf = (version: number) => known.get(version)?.samples ?? []
  const sources: Source[] = [...captured, ...samplesOf(version)].map((sample) => ({
    name: `version ${version}`,
    make: () => openState(sample),
  }))
  for (const older of readableVersions(definition).slice(1)) {
    for (const sample of samplesOf(older)) {
      const name = `version ${older} stepped up to ${version}`
      const make = () => stepUp(definition, openState(sample), older)
      if (passes(name, make, known.get(version)?.shape)) sources.push({ name, make })
    }
  }
  for (const older of writableVersions(definition).slice(1)) {
    const shape = known.get(older)?.shape
    for (const { name, make } of sources)
      passes(
        `${name}, stepped down to ${older}`,
        () => openState(sealState(stepDown(definition, make(), older))),
        shape,
      )
  }
  // Several samples tell the same.
  return [...new Set(problems)]
}

/** @param shape undefined for a version that was never recorded: the steps to it have to work all the same. */
function misfits(make: () => unknown, shape: Shape | undefined): string[] {
  try {
    const state = make()
    if (shape === undefined) return []
    const found = shapeOf(state, new Set(recordPaths(shape)))
    return compare(shape, found).flatMap(({ path, what, breaks }) => (breaks ? [`${path} ${what}`] : []))
  } catch (error) {
    return [messageOf(error)]
  }
}
