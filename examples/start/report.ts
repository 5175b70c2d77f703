/** What the run found, in figures, and as a table for people. */
import type { UpgradeResult } from 'handover/supervisor'
import { atMost, BUCKETS_MS, type Latencies } from './latency.js'

export interface Report {
  ok: boolean
  upgrades: UpgradeResult[]
  clients: number
  linesSaid: number
  bytes: { checked: number; lost: number; doubled: number; wrong: number }
  connections: { dropped: number }
  connects: { made: number; refused: number; releases: Record<string, number> }
  /** Line sent to acknowledgement received, as the clients saw it. */
  latency: { between: Latencies; upgrading: Latencies }
  examples: string[]
  durationMs: number
}

/** Nothing lost, nobody dropped or refused, every client moved both times. */
export function isClean(report: Omit<Report, 'ok'>): boolean {
  const { bytes, connects, connections, upgrades, clients } = report
  return (
    upgrades.length === 2 &&
    upgrades.every(
      ({ outcome, sessions }) => outcome === 'committed' && sessions.dropped === 0 && sessions.moved >= clients,
    ) &&
    bytes.checked > 0 &&
    bytes.lost + bytes.doubled + bytes.wrong === 0 &&
    connections.dropped === 0 &&
    connects.made > 0 &&
    connects.refused === 0
  )
}

const number = (value: number): string => value.toLocaleString('en-US')
const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`

export function table(report: Report): string {
  const { bytes, connects, connections, upgrades } = report
  const [there, back] = upgrades
  const row = (label: string, ...cells: string[]): string =>
    `  ${label.padEnd(26)}${cells.map((cell) => cell.padStart(20)).join('')}`
  const both = (label: string, cell: (result: UpgradeResult) => string): string =>
    row(label, ...upgrades.map((result) => cell(result)))
  return [
    '',
    row('', there ? 'upgrade' : '', back ? 'rollback' : ''),
    both('release', ({ from, to }) => `${from.release} → ${to.release}`),
    both('process', ({ from, to }) => `${from.pid} → ${to.pid}`),
    both('outcome', ({ outcome }) => outcome),
    both('connections moved', ({ sessions }) => number(sessions.moved)),
    both('connections dropped', ({ sessions }) => number(sessions.dropped)),
    both('pause p50', ({ pauseMs }) => (pauseMs ? ms(pauseMs.p50) : '–')),
    both('pause max', ({ pauseMs }) => (pauseMs ? ms(pauseMs.max) : '–')),
    ...upgrades.flatMap(({ reasons }) => reasons.map(({ of, reason, count }) => `  ${of}: ${reason} (${count})`)),
    '',
    row('clients', number(report.clients)),
    row('clients cut off', number(connections.dropped)),
    row('lines said', number(report.linesSaid)),
    row('bytes checked', number(bytes.checked)),
    row('bytes lost', number(bytes.lost)),
    row('bytes doubled', number(bytes.doubled)),
    row('bytes wrong', number(bytes.wrong)),
    row('new connections made', number(connects.made)),
    row('new connections refused', number(connects.refused)),
    ...report.examples.map((example) => `  ${example}`),
    '',
    histogram(report.latency),
    '',
    report.ok ? '  Nobody noticed: nothing lost, nobody cut off, nobody turned away.' : '  NOT CLEAN: see above.',
    '',
  ].join('\n')
}

const BAR_WIDTH = 24

/** Both periods side by side, bars by the logarithm of the count: one slow line among thousands must be seen. */
function histogram({ between, upgrading }: Report['latency']): string {
  const most = Math.max(2, ...between.buckets, ...upgrading.buckets)
  const bar = (count: number): string => {
    const length = count === 0 ? 0 : Math.max(1, Math.round((Math.log(count + 1) / Math.log(most + 1)) * BAR_WIDTH))
    return `${'█'.repeat(length).padEnd(BAR_WIDTH)}${number(count).padStart(8)}`
  }
  const last = between.buckets.findLastIndex((count, bucket) => count + upgrading.buckets[bucket]! > 0)
  const lines = between.buckets.slice(0, last + 1).map((count, bucket) => {
    const label = bucket < BUCKETS_MS.length ? `≤ ${BUCKETS_MS[bucket]} ms` : 'more'
    return `  ${label.padStart(9)}  ${bar(count)}   ${bar(upgrading.buckets[bucket]!)}`
  })
  const summary = (latencies: Latencies): string =>
    `p50 ≤ ${ms(atMost(latencies, 0.5))}, p99 ≤ ${ms(atMost(latencies, 0.99))}, max ${ms(latencies.maxMs)}`
  return [
    '  How long a client waited for the answer to a line (bars are logarithmic):',
    `  ${''.padStart(9)}  ${'between upgrades'.padEnd(BAR_WIDTH + 8)}   during upgrade and rollback`,
    ...lines,
    `  ${''.padStart(9)}  ${summary(between).padEnd(BAR_WIDTH + 8)}   ${summary(upgrading)}`,
  ].join('\n')
}
