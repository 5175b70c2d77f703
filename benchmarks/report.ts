/** Tables for people: aligned for a terminal, or Markdown for the README. */
import { type Conditions, conditionsLine } from './conditions.js'
import type { PeerResult } from './peers/measure.js'
import type { SubjectResult } from './subjects/summary.js'
import type { Target } from './verdict.js'

export interface Results {
  readonly conditions: Conditions
  readonly results: readonly SubjectResult[]
  readonly targets: readonly Target[]
  readonly peers: readonly PeerResult[]
}

interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly notes?: readonly string[]
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
/** Three digits that mean something, and no exponent. */
const brief = (value: number): string => (Math.abs(value) >= 100 ? whole(value) : String(Number(value.toPrecision(3))))
const ms = (value: number): string => `${brief(value)} ms`

function subjectTable(results: readonly SubjectResult[], { sessions, stateBytes }: Conditions): Table {
  return {
    title: `${whole(sessions)} idle sessions of ${whole(stateBytes)} bytes`,
    head: ['', 'sessions/s', 'range', 'ratio', 'total', 'pause p50', 'p99', 'max'],
    rows: results.map(({ subject, sessionsPerSecond, range, ratio, durationMs, pauseMs }) => [
      subject,
      whole(sessionsPerSecond),
      `${whole(range.least)}–${whole(range.most)}`,
      ratio.toFixed(2),
      ms(durationMs),
      ms(pauseMs.p50),
      ms(pauseMs.p99),
      ms(pauseMs.max),
    ]),
  }
}

function targetTable(targets: readonly Target[]): Table {
  const rows = targets.map(({ name, what, value, unit, target, met, against }) => {
    const suffix = unit === 'ratio' ? '' : ` ${unit}`
    const verdict = value === null ? 'not measured' : met ? 'met' : 'not met'
    return [name, what, value === null ? '–' : `${brief(value)}${suffix}`, `${target}${suffix}`, verdict, against]
  })
  const notes = targets.flatMap(({ name, reason }) => (reason === undefined ? [] : [`${name}: ${reason}`]))
  return { title: 'Targets', head: ['', 'what', 'measured', 'target', '', 'against'], rows, notes }
}

function peerTable(peers: readonly PeerResult[]): Table {
  const nameOf = ({ title, protocol }: PeerResult): string => `${title}, ${protocol.toUpperCase()}`
  const most = Math.max(...peers.map((result) => ('reason' in result ? 0 : result.connections)))
  const rows = peers.map((result) => {
    const name = [nameOf(result), `the ${result.replaces}`]
    if ('reason' in result) return [...name, '–', '–', '–', '–', '–']
    const { dropped, connections, failed, before, during, goneMs, goneWithinMs } = result
    const gone = goneMs === null ? `not in ${whole(goneWithinMs / 1000)} s` : ms(goneMs)
    return [...name, `${whole(dropped)} of ${whole(connections)}`, whole(failed), ms(before), ms(during), gone]
  })
  const notes = peers.flatMap((result) => {
    if ('reason' in result) return [`${nameOf(result)}: ${result.reason}`]
    const isFewer = result.connections < most
    return isFewer
      ? [`${nameOf(result)}: fewer idle clients, for its limit of descriptors; it needs two for each.`]
      : []
  })
  notes.push(
    'Active clients that are cut connect anew and ask the same again; idle ones that are cut are only counted.',
  )
  const head = [
    '',
    'replaces',
    'connections dropped',
    'requests failed',
    'worst latency before',
    'during',
    'old process gone after',
  ]
  return { title: 'The same clients through a reload', head, rows, notes }
}

function tablesOf({ conditions, results, targets, peers }: Results): Table[] {
  const tables = [subjectTable(results, conditions), targetTable(targets), peerTable(peers)]
  return tables.filter(({ rows }) => rows.length > 0)
}

function aligned({ title, head, rows, notes = [] }: Table): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  return [title, '', line(head), ...rows.map(line), ...notes].join('\n')
}

function inMarkdown({ title, head, rows, notes = [] }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [
    `**${title}**`,
    '',
    line(head),
    `|${'---|'.repeat(head.length)}`,
    ...rows.map(line),
    ...notes.flatMap((note) => ['', note]),
  ].join('\n')
}

export function report(results: Results, format: 'terminal' | 'markdown'): string {
  const write = format === 'markdown' ? inMarkdown : aligned
  return [...tablesOf(results).map(write), conditionsLine(results.conditions)].join('\n\n')
}
