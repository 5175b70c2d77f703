/** The table of docs/faults.md, from a run of all cells. */
import { release } from 'node:os'
import type { Outcome } from './matrix.js'
import { COLUMNS, FAULTS, STEPS } from './steps.js'

const MARKS = { successor: 'successor', predecessor: 'predecessor', closed: 'closed', split: 'some closed' } as const
const LATE = 'the upgrade had ended; the supervisor logged the crash of the runtime and started it again'
const LONGEST_REASON = 160

export function report(outcomes: readonly Outcome[], seed: number, seconds: number): string {
  const red = outcomes.filter((outcome) => outcome.red.length > 0)
  const notes: string[] = []
  return [
    '# What happens when something breaks',
    '',
    'Made by `npm run test:faults`, which does each of these things to a real upgrade, from outside, with 14 clients that know',
    'every byte of both directions. The steps are the messages of the tables in [messages.ts](../src/wire/messages.ts), the first',
    'of each kind; what each cell may end with follows from the guarantees and from the phases',
    '([verdict.ts](../test/faults/verdict.ts)).',
    '',
    `${outcomes.length} cells, ${red.length} red, on ${new Date().toISOString().slice(0, 10)} with Node ${process.versions.node}, Linux ${release()}, seed ${seed}, in ${Math.round(seconds)} s.`,
    '',
    '- **successor**: every client went on in the successor, with every byte right.',
    '- **predecessor**: every client was given back, with every byte right.',
    '- **closed**: each client got one clean close, and the result counted it with the reason in the note.',
    '- **some closed**: of what follows after commit: some went on in the successor, each of the others as before.',
    '',
    'After each: one process serves, no descriptor, process or path is left, and the next upgrade works.',
    '',
    ...(['predecessor', 'successor', 'supervisor', 'both'] as const).flatMap((victim) =>
      table(outcomes, victim, notes),
    ),
    ...(notes.length > 0 ? ['## Reasons', '', ...notes.map((note, index) => `${index + 1}. ${note}`), ''] : []),
    ...(red.length > 0
      ? ['## Red', '', ...red.map(({ cell, red }) => `- ${cell.name}: ${red.map(inline).join('; ')}`), '']
      : []),
  ].join('\n')
}

function table(outcomes: readonly Outcome[], victim: string, notes: string[]): string[] {
  const columns = COLUMNS.filter((column) => column.victim === victim)
  const title = victim === 'both' ? 'The channel between the two' : `The ${victim}`
  const rows = STEPS.map((step) => {
    const cells = columns.map((column) => {
      const outcome = outcomes.find(({ cell }) => cell.step === step && cell.column === column)
      return outcome === undefined ? '' : mark(outcome, notes)
    })
    return cells.some((cell) => cell !== '') ? [step.name, ...cells] : []
  }).filter((row) => row.length > 0)
  const heading = columns.map(({ fault, towards }) => FAULTS[fault] + (towards === undefined ? '' : ` (${towards})`))
  return [`## ${title}`, '', ...aligned([['step', ...heading], ...rows]), '']
}

function aligned([heading, ...rows]: string[][]): string[] {
  const widths = heading!.map((_, column) => Math.max(3, ...[heading!, ...rows].map((row) => row[column]!.length)))
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(heading!), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)]
}

function mark({ ending, dropped, red }: Outcome, notes: string[]): string {
  const said = ending === undefined ? '?' : MARKS[ending]
  if (red.length > 0) return `**RED** ${said}`
  if (ending !== 'closed' && ending !== 'split') return said
  const note = inline(dropped ?? LATE)
  if (!notes.includes(note)) notes.push(note)
  return `${said} [${notes.indexOf(note) + 1}](#reasons)`
}

const inline = (text: string): string => text.replace(/\s+/g, ' ').replace(/[|<>]/g, '').slice(0, LONGEST_REASON)
