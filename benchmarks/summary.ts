/** Medians over the trials of a subject, and the table. */
import { type MoveFigures, median } from './statistics.js'

export interface Summary {
  subject: string
  moved: number
  bytes: number
  sessionsPerSecond: number
  /** Least and most of the trials. */
  range: { least: number; most: number }
  durationMs: number
  pauseMs: { p50: number; p99: number; max: number }
  trials: readonly MoveFigures[]
}

export function summarize(subject: string, trials: readonly MoveFigures[]): Summary {
  const of = (pick: (figures: MoveFigures) => number): number => median(trials.map(pick))
  const rates = trials.map(({ sessionsPerSecond }) => sessionsPerSecond)
  return {
    subject,
    moved: of(({ moved }) => moved),
    bytes: of(({ bytes }) => bytes),
    sessionsPerSecond: of(({ sessionsPerSecond }) => sessionsPerSecond),
    range: { least: Math.min(...rates), most: Math.max(...rates) },
    durationMs: of(({ durationMs }) => durationMs),
    pauseMs: {
      p50: of(({ pauseMs }) => pauseMs.p50),
      p99: of(({ pauseMs }) => pauseMs.p99),
      max: of(({ pauseMs }) => pauseMs.max),
    },
    trials,
  }
}

interface Conditions {
  date: string
  node: string
  cpu: string
  cores: number
  sessions: number
  stateBytes: number
  trials: number
}

export function table(results: readonly Summary[], conditions: Conditions): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
  const base = results[0]!
  const rows = results.map((result) => [
    result.subject,
    whole(result.moved),
    whole(result.sessionsPerSecond),
    `${whole(result.range.least)}–${whole(result.range.most)}`,
    (result.sessionsPerSecond / base.sessionsPerSecond).toFixed(2),
    whole(result.durationMs),
    whole(result.pauseMs.p50),
    whole(result.pauseMs.p99),
    whole(result.pauseMs.max),
  ])
  const head = ['', 'moved', 'sessions/s', 'range', 'ratio', 'total ms', 'pause p50', 'p99', 'max ms']
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')
  const { sessions, stateBytes, trials, node, cpu, cores, date } = conditions
  return [
    '',
    line(head),
    ...rows.map(line),
    '',
    `${whole(sessions)} idle TCP sessions with ${whole(stateBytes)} bytes of state each, loopback; medians of ${trials} trials,`,
    `each in fresh processes. Node ${node}, ${cores} × ${cpu}, ${date}. Pause: from freeze to live, per session.`,
  ].join('\n')
}
