/** The targets, each measured in the same run as what it is held against. */
import { median } from '../statistics.js'
import type { Summary } from '../summary.js'
import type { UpgradeTrial } from './trial.js'

export interface Target {
  readonly name: string
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly target: string
  readonly met: boolean
  readonly against: string
}

type RunTrial = (...words: string[]) => Promise<unknown>

const COUNTS = [1_000, 5_000, 10_000, 18_000]

/** @param peers medians of `process.send`, all at once and at its best. */
export async function measureTargets(
  run: RunTrial,
  trials: number,
  peers: { all?: Summary | undefined; best?: Summary | undefined },
): Promise<Target[]> {
  const upgrades = async (sessions: number, active: number): Promise<UpgradeTrial[]> => {
    const results: UpgradeTrial[] = []
    for (let trial = 0; trial < trials; trial++)
      results.push((await run('upgrade', String(sessions), String(active), 'touch')) as UpgradeTrial)
    return results
  }
  const of = (results: readonly UpgradeTrial[], pick: (trial: UpgradeTrial) => number): number =>
    median(results.map(pick))
  const active = await upgrades(10_000, 500)
  const p99 = of(active, ({ pauseMs }) => pauseMs.p99)
  const idle = new Map<number, UpgradeTrial[]>()
  for (const count of COUNTS) idle.set(count, await upgrades(count, 0))
  const pauses = [...idle].map(([count, results]) => [count, of(results, ({ pauseMs }) => pauseMs.max) * 1000] as const)
  const rate = 10_000 / (of(active, ({ transferMs }) => transferMs) / 1000)
  const withLibrary: number[] = []
  const without: number[] = []
  for (let trial = 0; trial < trials; trial++) {
    without.push(((await run('flood', 'plain')) as { rate: number }).rate)
    withLibrary.push(((await run('flood', 'touch')) as { rate: number }).rate)
  }
  const load = '10,000 sessions of 1 KB, 500 of them active at 20 messages a second'
  const targets: Target[] = [
    atMost('P1', 'pause p99', p99, 'ms', 10, load),
    atMost(
      'P1max',
      'pause max',
      of(active, ({ pauseMs }) => pauseMs.max),
      'ms',
      20,
      load,
    ),
    atLeast(
      'P2',
      'whole transfer',
      rate,
      'sessions/s',
      Number(process.versions.node.split('.')[0]) >= 24 ? 150_000 : 100_000,
      load,
    ),
    atMost(
      'P3',
      'pause for each clean session',
      slope(pauses),
      'µs',
      0.3,
      `${COUNTS.join(', ')} idle sessions in one process`,
    ),
    atLeast(
      'P4',
      'echo throughput, with / without',
      median(withLibrary) / median(without),
      'ratio',
      0.99,
      'the same server without the library',
    ),
    atMost(
      'P6',
      "command to committed beyond the successor's start",
      of(active, ({ beyondStartMs }) => beyondStartMs) / 1000,
      's',
      0.3,
      load,
    ),
  ]
  if (peers.all) {
    targets.push(
      atLeast(
        'P1ratio',
        "process.send's total / pause p99",
        peers.all.durationMs / p99,
        'ratio',
        200,
        'process.send, all at once',
      ),
    )
    targets.push(
      atLeast(
        'P2all',
        'sessions/s, ratio',
        rate / peers.all.sessionsPerSecond,
        'ratio',
        40,
        'process.send, all at once',
      ),
    )
  }
  if (peers.best)
    targets.push(
      atLeast(
        'P2best',
        'sessions/s, ratio',
        rate / peers.best.sessionsPerSecond,
        'ratio',
        10,
        'process.send, 64 outstanding',
      ),
    )
  return targets
}

function atMost(name: string, what: string, value: number, unit: string, limit: number, against: string): Target {
  return { name, what, value, unit, target: `≤ ${limit}`, met: value <= limit, against }
}

function atLeast(name: string, what: string, value: number, unit: string, limit: number, against: string): Target {
  return { name, what, value, unit, target: `≥ ${limit}`, met: value >= limit, against }
}

/** Least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (pick: 0 | 1): number => points.reduce((sum, point) => sum + point[pick], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

export function targetTable(targets: readonly Target[]): string {
  const rows = targets.map(({ name, what, value, unit, target, met }) => [
    name,
    what,
    `${value.toPrecision(3)} ${unit}`,
    target,
    met ? 'met' : 'not met',
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
