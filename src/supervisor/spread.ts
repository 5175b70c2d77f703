/** New workers begin with nobody: those that were there give them their share, while all serve. */
import { messageOf } from '../errors.js'
import type { Generation } from './generation.js'
import { type Given, give } from './give.js'
import type { Settings } from './options.js'

export interface Move {
  readonly from: number
  readonly to: number
  readonly sessions: number
}

/** Who gives how many to whom, by index, so that all have the same number, but for a rest. Only the `isNew` take. */
export function planSpread(workers: readonly { readonly sessions: number; readonly isNew: boolean }[]): Move[] {
  const total = workers.reduce((sum, { sessions }) => sum + sessions, 0)
  const share = Math.floor(total / workers.length)
  const surplus = workers.map(({ sessions, isNew }) => (isNew ? 0 : Math.max(0, sessions - share)))
  const moves: Move[] = []
  for (const [to, { sessions, isNew }] of workers.entries()) {
    let wanted = isNew ? share - sessions : 0
    for (const [from, most] of surplus.entries()) {
      const count = Math.min(wanted, most)
      if (count <= 0) continue
      moves.push({ from, to, sessions: count })
      surplus[from] = most - count
      wanted -= count
    }
  }
  return moves
}

/** Ends early for a process that hands over, or is gone. */
export async function spread(
  workers: readonly { readonly generation: Generation; readonly isNew: boolean }[],
  settings: Settings,
): Promise<Given[]> {
  const rows = await Promise.all(
    workers.map(async ({ generation, isNew }) => {
      // What follows into it after commit comes first.
      const status = await generation.ask(settings.checkMs, true)
      return { isNew, sessions: status?.sessions.reduce((sum, { count }) => sum + count, 0) ?? 0 }
    }),
  )
  const given: Given[] = []
  const moves = planSpread(rows)
  // One after the other for each that gives; those that give go on side by side.
  await Promise.all(
    workers.map(async ({ generation: giver }, index) => {
      for (const { to, sessions } of moves.filter(({ from }) => from === index)) {
        const taker = workers[to]?.generation as Generation
        if (giver.state !== 'serving' || taker.state !== 'serving' || !giver.canGroup || !taker.canGroup) return
        try {
          const word = await give(giver, taker, settings, sessions).given
          if (word !== undefined) given.push(word)
        } catch (error) {
          // No descriptor to be had: who serves goes on doing so.
          given.push({ give: 0, sessions: 0, pauseMs: null, reasons: [{ reason: messageOf(error), count: 1 }] })
        }
      }
    }),
  )
  return given
}
