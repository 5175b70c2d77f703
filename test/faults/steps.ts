/** The points of the exchange at which a fault can happen, and the faults: made from the tables, so that none is forgotten. */
import { FOLLOWING, type Phase } from '../../src/transfer/phases.js'
import { CONTROL, type MessageTable, TRANSFER } from '../../src/wire/messages.js'

export type Victim = 'predecessor' | 'successor' | 'supervisor' | 'both'
export type Party = Exclude<Victim, 'both'>

/** Around one message, the first of its kind. */
export interface Step {
  readonly stage: 'spawn' | 'transfer' | 'follow' | 'drain'
  readonly when: 'before' | 'after'
  readonly kind: string
  readonly name: string
}

export const FAULTS = {
  kill: 'SIGKILL',
  stop: 'SIGSTOP until the deadline, then SIGCONT',
  closed: 'channel closed',
  emfile: 'EMFILE',
  garbage: 'garbage message',
  count: 'wrong descriptor count',
  silence: 'silence',
} as const
export type Fault = keyof typeof FAULTS

/** Faults of a process; the others are of what it says. */
export const isOfProcess = (fault: Fault): boolean => ['kill', 'stop', 'emfile'].includes(fault)

export interface Column {
  readonly victim: Victim
  readonly fault: Fault
  /** The supervisor has two channels: whose. */
  readonly towards?: 'predecessor' | 'successor'
  readonly name: string
}

const stepsOf = (stage: Step['stage'], table: MessageTable, kinds: readonly string[], whens: readonly Step['when'][]) =>
  kinds.flatMap((kind) => {
    if (!Object.hasOwn(table, kind)) throw new Error(`there is no message "${kind}"`)
    return whens.map((when): Step => ({ stage, when, kind, name: `${stage}: ${when} ${kind}` }))
  })

/** Messages of what follows after commit, on the channel of the transfer. */
const FOLLOW = Object.keys(TRANSFER).filter((kind) =>
  Object.values(FOLLOWING).some((side) => Object.values(side as Record<string, Phase>).some(({ on }) => kind in on)),
)
export const stageOf = (kind: string): 'transfer' | 'follow' => (FOLLOW.includes(kind) ? 'follow' : 'transfer')
export const isOnTransfer = ({ stage }: Step): boolean => stage === 'transfer' || stage === 'follow'

export const STEPS: readonly Step[] = [
  // It is a process, and has not joined; it has joined, and is not ready.
  ...stepsOf('spawn', CONTROL, ['hello', 'ready'], ['before']),
  ...stepsOf(
    'transfer',
    TRANSFER,
    Object.keys(TRANSFER).filter((kind) => !FOLLOW.includes(kind)),
    ['before', 'after'],
  ),
  ...stepsOf('follow', TRANSFER, FOLLOW, ['before', 'after']),
  ...stepsOf('drain', CONTROL, ['drained'], ['before']),
]

export const COLUMNS: readonly Column[] = [
  ...(['predecessor', 'successor', 'supervisor'] as const).flatMap((victim) =>
    (Object.keys(FAULTS) as Fault[]).flatMap((fault): Column[] => {
      if (victim !== 'supervisor' || isOfProcess(fault)) return [{ victim, fault, name: `${victim} × ${fault}` }]
      return (['predecessor', 'successor'] as const).map((towards) => ({
        victim,
        fault,
        towards,
        name: `supervisor × ${fault} towards ${towards}`,
      }))
    }),
  ),
  // The channel itself, so that both hear its end at one instant and want each other dead.
  { victim: 'both', fault: 'closed', name: 'both × closed' },
]

export interface Cell {
  readonly step: Step
  readonly column: Column
  readonly name: string
}

export const CELLS: readonly Cell[] = STEPS.flatMap((step) =>
  COLUMNS.filter(({ victim }) => victim !== 'both' || isOnTransfer(step)).map((column) => ({
    step,
    column,
    name: `${step.name} / ${column.name}`,
  })),
)

/** A share of the cells, the same for the same seed, spread over all of them. */
export function shareOf(cells: readonly Cell[], share: number, seed: number): Cell[] {
  const rank = ({ name }: Cell): number => {
    let hash = seed | 0
    for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) ^ (hash >>> 13)
    return hash >>> 0
  }
  const chosen = [...cells].sort((a, b) => rank(a) - rank(b)).slice(0, Math.ceil(cells.length * share))
  return cells.filter((cell) => chosen.includes(cell))
}
