/** Where and when: figures mean nothing without. */
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Plan } from './plan.js'

export interface Conditions {
  readonly date: string
  readonly node: string
  readonly kernel: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  /** Of the last minute, before anything was started: above a fraction of the cores, the figures are about others too. */
  readonly loadAtStart: number
  readonly quick: boolean
  readonly sessions: number
  readonly stateBytes: number
  readonly trials: number
}

export function conditionsOf({ quick, sessions, stateBytes, trials }: Plan): Conditions {
  return {
    date: new Date().toISOString(),
    node: process.versions.node,
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    loadAtStart: loadavg()[0]!,
    quick,
    sessions,
    stateBytes,
    trials,
  }
}

export function conditionsLine({ trials, node, kernel, cores, cpu, date, loadAtStart, quick }: Conditions): string {
  const load = `load ${loadAtStart.toFixed(1)} at the start`
  return [
    `Medians of ${trials} ${trials === 1 ? 'trial' : 'trials'}, each in fresh processes, on loopback; ratios paired by round.`,
    `Node ${node}, Linux ${kernel}, ${cores} × ${cpu}, ${date.slice(0, 10)}, ${load}.`,
    ...(quick ? ['A bounded share: it shows that everything works, not how fast it is.'] : []),
  ].join('\n')
}
