/** Paths into captured state, as messages and `dictionaries` write them: `state.user.nick`, `state.rooms{}[]`. */

/** Of an array or a Set. */
export const MEMBERS = '[]'
/** Of a Map, or of an object used as a dictionary. */
export const VALUES = '{}'
export const KEYS = '{key}'

export function fieldPath(path: string, name: string): string {
  // A bar tells alternatives apart where a path is recorded.
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
    ? `${path}.${name}`
    : `${path}[${JSON.stringify(name).replaceAll('|', '\\u007c')}]`
}
