/** One session kind or shared state: what was captured now against what is recorded, and the steps in between. */
import { type ErrorCode, HandoverError, messageOf } from '../errors.js'
import { checkVersions, type Versioned } from '../runtime/versions.js'
import { type Envelope, openState, sealState } from '../wire/envelope.js'
import { compare, recordPaths, unseenPaths } from './compare.js'
import { mergeAll, type Shape, shapeOf } from './shape.js'
import { checkSteps, missingSteps } from './steps.js'
import type { Recorded } from './store.js'
import type { SessionSamples } from './types.js'

export interface Subject extends Pick<SessionSamples<unknown>, 'dictionaries' | 'without'> {
  /** For people: 'session kind "chat"'. */
  readonly what: string
  readonly definition: Versioned
  readonly captures: readonly (() => unknown)[]
}

export interface Problem {
  readonly code: ErrorCode
  readonly text: string
}

export interface Verdict {
  readonly problems: readonly Problem[]
  /** What the current version would be recorded as. */
  readonly current: Recorded
}

/** @throws HandoverError for what cannot be looked at: HANDOVER_USAGE, HANDOVER_STATE_INVALID. */
export function judge(subject: Subject, recorded: ReadonlyMap<number, Recorded>): Verdict {
  const { what, definition } = subject
  checkVersions(what, definition)
  const current = captureAll(subject)
  const problems: Problem[] = []
  const changed = (version: number, text: string): unknown =>
    problems.push({ code: 'HANDOVER_SHAPE_CHANGED', text: `${what}, version ${version}: ${text}` })
  const before = recorded.get(definition.version)
  if (before !== undefined)
    for (const { path, what } of compare(before.shape, current.shape)) changed(definition.version, `${path} ${what}`)
  for (const [version, { shape, samples }] of recorded) {
    const shown = mergeAll(samples.map((sample) => shapeOf(openState(sample), new Set(recordPaths(shape)))))
    for (const { path, what } of compare(shape, shown)) changed(version, `its corpus differs: ${path} ${what}`)
  }
  const known = new Map(recorded).set(definition.version, before ?? current)
  const steps = [...missingSteps(subject, [...recorded.keys()]), ...checkSteps(definition, known, current.samples)]
  for (const text of steps) problems.push({ code: 'HANDOVER_STEP_WRONG', text: `${what}: ${text}` })
  return { problems, current }
}

function captureAll({ what, definition, captures, dictionaries = [] }: Subject): Recorded {
  const usage = (why: string) => new HandoverError('HANDOVER_USAGE', `${what}, version ${definition.version}: ${why}`)
  if (captures.length === 0) throw usage('there is no sample')
  const samples = new Map<number, Envelope>()
  const shapes = captures.map((capture, index): Shape => {
    try {
      // As it arrives, which is also apart from what the program holds: steps may change their argument.
      const envelope = sealState(capture())
      samples.set(envelope.checksum, envelope)
      return shapeOf(openState(envelope), new Set(dictionaries))
    } catch (cause) {
      const code = cause instanceof HandoverError ? cause.code : 'HANDOVER_USAGE'
      throw new HandoverError(code, `${what}: sample ${index} cannot be captured: ${messageOf(cause)}`, { cause })
    }
  })
  const shape = mergeAll(shapes)
  const [unseen] = unseenPaths(shape)
  if (unseen !== undefined) throw usage(`no sample shows what is in ${unseen}: give one where it is not empty`)
  const found = recordPaths(shape)
  const missing = dictionaries.find((path) => !found.includes(path))
  if (missing !== undefined) throw usage(`dictionary "${missing}" is an object in no sample`)
  return { shape, samples: [...samples.values()] }
}
