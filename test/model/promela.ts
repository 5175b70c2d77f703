/** A phase table in Promela: what src/transfer/transfer.pml, or follow.pml, includes as phases.pml. */
import type { Phase, Side, Step } from '../../src/transfer/phases.js'

export type Table = Readonly<Record<Side, Readonly<Record<string, Phase>>>>

/** What the hand-written part of a model names; a table may be without some of it. */
export interface Vocabulary {
  readonly model: string
  readonly phases: Record<Side, readonly string[]>
  readonly events: readonly string[]
  readonly leftOut: readonly string[]
}

const LOST = ['eof', 'silence', 'invalid', 'garbage']

export const TRANSFERRING: Vocabulary = {
  model: 'transfer.pml',
  phases: {
    predecessor: ['check', 'copy', 'transfer', 'vote', 'agree', 'commit', 'yield', 'drain', 'thawed'],
    successor: ['check', 'copy', 'transfer', 'vote', 'active', 'aborted'],
  },
  events: [
    ...['offer', 'accept', 'refuse', 'batch', 'update', 'gone', 'received', 'freeze', 'manifest', 'prepared', 'commit'],
    ...['abort', 'active', 'settled', 'sent', 'pending', 'decided', 'overruled', 'yielded', 'failed', ...LOST],
  ],
  // Shared state takes the same way as a batch, and tells the model nothing new.
  leftOut: ['state'],
}

export const FOLLOWS: Vocabulary = {
  model: 'follow.pml',
  phases: {
    predecessor: ['serve', 'give', 'confirm', 'yield', 'kept', 'taken', 'over'],
    successor: ['wait', 'take', 'own', 'discarded', 'over'],
  },
  events: ['move', 'held', 'moved', 'sent', 'yielded', 'failed', 'finished', ...LOST],
  leftOut: [],
}

/** One row of the table: a line of phases.pml. */
export interface Row {
  readonly side: Side
  readonly phase: string
  readonly event: string
  readonly step: Step
}

export function rowsOf(table: Table, { leftOut }: Vocabulary = TRANSFERRING): Row[] {
  return (['predecessor', 'successor'] as const).flatMap((side) =>
    Object.entries(table[side]).flatMap(([phase, { on }]) =>
      Object.entries(on)
        .filter(([event]) => !leftOut.includes(event))
        .map(([event, step]) => ({ side, phase, event, step })),
    ),
  )
}

const prefixOf = (side: Side): string => (side === 'predecessor' ? 'p_' : 's_')
const indexOf = (side: Side): number => (side === 'predecessor' ? 0 : 1)

export function lineOf({ side, phase, event, step }: Row): string {
  const fence = step.fence === undefined ? '' : `; fence = f_${step.fence}`
  return `:: phase[${indexOf(side)}] == ${prefixOf(side)}${phase} && event == e_${event} -> to = ${prefixOf(side)}${step.to}${fence}`
}

/** @throws Error when the table has a phase or an event that the model does nothing with. */
export function phasesPml(table: Table, vocabulary: Vocabulary = TRANSFERRING): string {
  const { model, phases: known, events } = vocabulary
  const rows = rowsOf(table, vocabulary)
  for (const { side, phase, event, step } of rows) {
    for (const name of [phase, step.to]) {
      if (!known[side].includes(name)) throw new Error(`src/transfer/${model} knows no phase ${name} of the ${side}`)
    }
    if (!events.includes(event)) throw new Error(`src/transfer/${model} knows no event ${event}`)
  }
  const phases = (['predecessor', 'successor'] as const).flatMap((side) =>
    known[side].map((name) => prefixOf(side) + name),
  )
  return `mtype = { ${events.map((event) => `e_${event}`).join(', ')} }
mtype = { ${phases.join(', ')} }
mtype = { f_none, f_dead, f_token, f_claim }
${sidePml(table, 'predecessor', rows)}${sidePml(table, 'successor', rows)}`
}

function sidePml(table: Table, side: Side, rows: readonly Row[]): string {
  const where = (fact: (phase: Phase) => boolean): string => {
    const names = Object.entries(table[side]).filter(([, phase]) => fact(phase))
    return `(${names.map(([name]) => `phase[${indexOf(side)}] == ${prefixOf(side)}${name}`).join(' || ') || 'false'})`
  }
  const isEnd = ({ on }: Phase): boolean => Object.keys(on).length === 0
  return `
#define ${side}_owns ${where(({ owns }) => owns)}
#define ${side}_ends ${where(isEnd)}
#define ${side}_waits ${where((phase) => !isEnd(phase))}
#define ${side}_may_silence ${where(({ on }) => 'silence' in on)}
#define ${side}_may_failed ${where(({ on }) => 'failed' in on)}

inline ${side}_step() {
  atomic {
    fence = f_none;
    known = true;
    if
${rows
  .filter((row) => row.side === side)
  .map((row) => `    ${lineOf(row)}`)
  .join('\n')}
    :: else -> known = false
    fi
  }
}
`
}
