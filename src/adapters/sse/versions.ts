/** The app's migrations are of its own part of what is captured. */
import type { Migration } from '../../runtime/types.js'
import { IDLE } from './record.js'

type Steps = Readonly<Record<number, Migration>>

export function stepsOf({ upgrade, downgrade }: { readonly upgrade?: Steps; readonly downgrade?: Steps }): {
  upgrade?: Steps
  downgrade?: Steps
} {
  return {
    ...(upgrade === undefined ? {} : { upgrade: besideRow(upgrade) }),
    ...(downgrade === undefined ? {} : { downgrade: besideRow(downgrade) }),
  }
}

function besideRow(steps: Steps): Steps {
  const wrapped = Object.entries(steps).map(([version, step]): [string, Migration] => [
    version,
    ([row, state]: [unknown, unknown]) => [row, row === IDLE ? null : step(state)],
  ])
  return Object.fromEntries(wrapped)
}
