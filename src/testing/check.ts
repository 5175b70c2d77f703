/** The one helper: called in the user's own test run, whatever runs it. */
import { Socket } from 'node:net'
import { HandoverError } from '../errors.js'
import { type Section, Store } from './store.js'
import { judge, type Problem, type Subject } from './subject.js'
import type { SessionSamples, ShapesOptions, ShapesResult } from './types.js'

/**
 * Compares what `capture` returns now with the shape recorded for the version, and reads the corpus of every version in
 * both directions. Rejects with everything that was found; a version that is new is recorded when asked, one that is
 * recorded is never written over.
 * @throws HandoverError HANDOVER_SHAPE_CHANGED, HANDOVER_SHAPE_UNKNOWN, HANDOVER_STEP_WRONG; HANDOVER_STATE_INVALID for a
 * sample that is not plain data; HANDOVER_USAGE.
 */
export async function checkShapes<Kinds extends Record<string, unknown>>(
  options: ShapesOptions<Kinds>,
): Promise<ShapesResult> {
  const record = options.record ?? process.env['HANDOVER_RECORD_SHAPES'] === '1'
  const store = await Store.open(options.file, options.corpus)
  const subjects = subjectsOf(options)
  const problems = undeclared(store, subjects)
  const fresh: (() => Promise<string>)[] = []
  for (const [section, name, subject] of subjects) {
    const versions = store.versions(section, name)
    const { version } = subject.definition
    const verdict = judge(subject, versions)
    problems.push(...verdict.problems)
    if (versions.has(version)) continue
    const text = `${subject.what}, version ${version}`
    if (!record) problems.push({ code: 'HANDOVER_SHAPE_UNKNOWN', text: `${text} has no recorded shape` })
    fresh.push(async () => {
      await store.add(section, name, version, verdict.current)
      return text
    })
  }
  if (problems[0] !== undefined) fail(problems)
  const recorded: string[] = []
  for (const add of fresh) recorded.push(await add())
  return { recorded }
}

function subjectsOf<Kinds extends Record<string, unknown>>({
  sessions,
  states = {},
}: ShapesOptions<Kinds>): [Section, string, Subject][] {
  return [
    ...Object.entries<SessionSamples<unknown>>(sessions ?? {}).map(([name, given]): [Section, string, Subject] => {
      const { definition, samples, socket = new Socket() } = given
      const captures = samples.map((session) => () => definition.capture(socket, session))
      return ['sessions', name, { ...given, what: `session kind "${name}"`, captures }]
    }),
    ...Object.entries(states).map(([name, given]): [Section, string, Subject] => {
      const { definition, samples = [() => undefined] } = given
      const captures = samples.map((prepare) => () => {
        prepare()
        return definition.capture()
      })
      return ['states', name, { ...given, what: `shared state "${name}"`, captures }]
    }),
  ]
}

/** Sessions of a kind that is gone would keep the next upgrade from happening. */
function undeclared(store: Store, subjects: readonly [Section, string, Subject][]): Problem[] {
  return (['sessions', 'states'] as const).flatMap((section) =>
    [...store.names(section)]
      .filter((name) => !subjects.some(([ofSection, ofName]) => ofSection === section && ofName === name))
      .map((name) => ({
        code: 'HANDOVER_SHAPE_CHANGED' as const,
        text: `${section === 'sessions' ? 'session kind' : 'shared state'} "${name}" is recorded, but not declared any more`,
      })),
  )
}

function fail(problems: readonly Problem[]): never {
  const [first] = problems
  const text = problems.map(({ text }) => text).join('\n')
  throw new HandoverError(first?.code ?? 'HANDOVER_SHAPE_CHANGED', text)
}
