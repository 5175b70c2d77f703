/** What differs between the recorded shape and the one found. */
import { fieldPath, KEYS, MEMBERS, VALUES } from './path.js'
import { type Field, NEVER, type Shape } from './shape.js'

export interface Difference {
  readonly path: string
  /** For people, to follow the path: 'appeared (string)'. */
  readonly what: string
  /** What was found is not of the recorded shape. False: it is, but does not show all of it. */
  readonly breaks: boolean
}

/** All differences. Those that `breaks` are there if, and only if, the recorded shape does not accept all of the found one. */
export function compare(recorded: Shape, found: Shape, path = 'state'): Difference[] {
  const [was, is] = [alternatives(recorded), alternatives(found)]
  const differences: Difference[] = []
  if (was.join() !== is.join()) {
    const breaks = is.some((one) => !was.includes(one))
    differences.push({
      path,
      what: `is ${is.join(' | ') || 'empty'}, recorded is ${was.join(' | ') || 'empty'}`,
      breaks,
    })
  }
  const within = (one: Shape | undefined, other: Shape | undefined, part: string): void => {
    if (one !== undefined && other !== undefined) differences.push(...compare(one, other, path + part))
  }
  if (recorded.fields && found.fields) differences.push(...compareFields(recorded.fields, found.fields, path))
  within(recorded.record, found.record, VALUES)
  within(recorded.array, found.array, MEMBERS)
  within(recorded.set, found.set, MEMBERS)
  within(recorded.map?.key, found.map?.key, KEYS)
  within(recorded.map?.value, found.map?.value, VALUES)
  return differences
}

function compareFields(
  recorded: ReadonlyMap<string, Field>,
  found: ReadonlyMap<string, Field>,
  above: string,
): Difference[] {
  const names = [...new Set([...recorded.keys(), ...found.keys()])].sort()
  return names.flatMap((name): Difference[] => {
    const path = fieldPath(above, name)
    const [was, is] = [recorded.get(name), found.get(name)]
    if (is === undefined)
      return [{ path, what: `disappeared (was ${summary(was?.shape)})`, breaks: was?.optional === false }]
    if (was === undefined) return [{ path, what: `appeared (${summary(is.shape)})`, breaks: true }]
    const differences = compare(was.shape, is.shape, path)
    if (is.optional && !was.optional) differences.push({ path, what: 'is not always there any more', breaks: true })
    if (!is.optional && was.optional)
      differences.push({ path, what: 'is always there, recorded as optional', breaks: false })
    return differences
  })
}

/** Types and containers, without what is in them. */
function alternatives({ leaves, fields, record, array, set, map }: Shape): string[] {
  const containers = { object: fields, record, array, Set: set, Map: map }
  const names = Object.entries(containers).flatMap(([name, inner]) => (inner === undefined ? [] : [name]))
  return [...leaves, ...names].sort()
}

const summary = (shape: Shape = NEVER): string => alternatives(shape).join(' | ') || 'empty'

/** Insides of containers that are empty wherever they occur: nobody can tell what would be in them. */
export function unseenPaths(shape: Shape): string[] {
  return Array.from(walk(shape, 'state')).flatMap(([inner, path]) =>
    alternatives(inner).length === 0 && !path.endsWith(KEYS) ? [path] : [],
  )
}

/** Paths of the objects that were recorded as dictionaries. */
export function recordPaths(shape: Shape): string[] {
  return Array.from(walk(shape, 'state')).flatMap(([inner, path]) => (inner.record ? [path] : []))
}

function* walk(shape: Shape, path: string): Iterable<[Shape, string]> {
  yield [shape, path]
  const { fields, record, array, set, map } = shape
  for (const [name, field] of fields ?? []) yield* walk(field.shape, fieldPath(path, name))
  if (record) yield* walk(record, path + VALUES)
  if (array) yield* walk(array, path + MEMBERS)
  if (set) yield* walk(set, path + MEMBERS)
  if (map) yield* walk(map.key, path + KEYS)
  if (map) yield* walk(map.value, path + VALUES)
}
