/** Samples by phase and group, in microseconds for each session. */
import type { Sample } from './cpu-profile.js'
import { ALL_GROUPS, groupOf } from './groups.js'

/** A stretch of CLOCK_MONOTONIC, in milliseconds. */
export interface Window {
  readonly phase: string
  readonly fromMs: number
  readonly toMs: number
}

export interface Breakdown {
  readonly phases: readonly string[]
  readonly rows: readonly { readonly group: string; readonly usPerSession: readonly number[] }[]
}

export const within = ({ atMs }: Sample, { fromMs, toMs }: Window): boolean => atMs >= fromMs && atMs < toMs

/** A sample that reaches beyond its window counts there only as far as the window goes. */
export function breakDown(samples: readonly Sample[], windows: readonly Window[], sessions: number): Breakdown {
  const names = ALL_GROUPS.map(({ name }) => name)
  const sums = new Map(names.map((name) => [name, windows.map(() => 0)]))
  for (const sample of samples) {
    const endMs = sample.atMs + sample.durationUs / 1000
    const sum = sums.get(groupOf(sample).name)!
    for (const [index, { fromMs, toMs }] of windows.entries()) {
      sum[index]! += Math.max(0, Math.min(endMs, toMs) - Math.max(sample.atMs, fromMs)) * 1000
    }
  }
  const rows = names.map((group) => ({ group, usPerSession: sums.get(group)!.map((sum) => sum / sessions) }))
  return {
    phases: windows.map(({ phase }) => phase),
    rows: rows.filter(({ usPerSession }) => usPerSession.some((us) => us >= 0.005)),
  }
}

export function breakdownTable(title: string, { phases, rows }: Breakdown): string {
  const total = phases.map((_, index) => rows.reduce((sum, row) => sum + row.usPerSession[index]!, 0))
  const cells = [
    ['µs for each session', ...phases, 'all'],
    ...[...rows, { group: 'all', usPerSession: total }].map(({ group, usPerSession }) => [
      group,
      ...[...usPerSession, usPerSession.reduce((sum, us) => sum + us, 0)].map((us) => us.toFixed(2)),
    ]),
  ]
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`
  const [head, ...body] = cells
  return [`**${title}**`, '', line(head!), `|---|${'---:|'.repeat(phases.length + 1)}`, ...body.map(line)].join('\n')
}
