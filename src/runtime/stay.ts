/** Why sessions are in the predecessor still. */
import type { ReasonFields, RefusalFields } from '../wire/fields.js'

export interface Stay extends Omit<RefusalFields, 'id'> {
  /** It has said "not now" itself. */
  readonly held?: boolean | undefined
}

/** Reasons kept word by word; beyond, those of the same kind are only counted. */
const MAX_REASONS = 20

/** Each reason once, with how many sessions it is of. */
export function summary(stays: Iterable<Stay>): ReasonFields[] {
  const rows = new Map<string, ReasonFields>()
  for (const stay of stays) {
    const key = JSON.stringify([stay.kind, stay.version, stay.reason])
    const isMany = rows.size >= MAX_REASONS
    const row = rows.get(key) ?? (isMany ? [...rows.values()].find(({ kind }) => kind === stay.kind) : undefined)
    if (row === undefined) rows.set(key, { ...stay, count: 1 })
    else row.count++
  }
  return [...rows.values()]
}
