/** The end of a process that nobody takes over from: its successor is a program that does not join. */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import type { ReasonFields } from '../wire/fields.js'
import type { CONTROL, Fields } from '../wire/messages.js'
import type { Sessions } from './sessions.js'
import type { Stay } from './stay.js'

const WHY = 'the successor does not join: a session cannot move into it'

export interface Refused {
  readonly outcome: 'refused' | 'failed'
  readonly reasons: ReasonFields[]
}

/** Why this process does not go; undefined when it does. */
export function whyNotRetire(
  { policy, untilMs }: Fields<typeof CONTROL, 'retire'>,
  sessions: Sessions,
  isServing: boolean,
): Refused | undefined {
  const failed = (reason: string): Refused => ({ outcome: 'failed', reasons: [{ reason, count: 1 }] })
  if (!isServing) return failed('the predecessor does not serve')
  // The supervisor has given it up: to go now would leave nobody who serves.
  if (nowMs() > untilMs) return failed('the predecessor was asked to go, and read it too late')
  const reasons = sessionsThatStay(sessions)
  return policy === 'all-or-nothing' && reasons.length > 0 ? { outcome: 'refused', reasons } : undefined
}

/** What cannot move, by kind. */
export function sessionsThatStay({ kinds }: Sessions): ReasonFields[] {
  return [...kinds.values()].flatMap(({ name, size, definition: { version } }) =>
    size === 0 ? [] : [{ reason: WHY, count: size, kind: name, version }],
  )
}

/** All that is to be served to its end: sessions that were moved into this process were never accepted by it. */
export function allOf(connections: ReadonlySet<Socket>, { kinds }: Sessions): Set<Socket> {
  const all = new Set(connections)
  for (const { entries } of kinds.values()) for (const socket of entries.keys()) all.add(socket)
  return all
}

export function stayOf(socket: Socket, sessions: Sessions): Stay | undefined {
  const kind = sessions.kindOf(socket)
  return kind && { reason: WHY, kind: kind.name, version: kind.definition.version }
}
