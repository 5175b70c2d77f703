/**
 * Watches what processes hold, from outside, as fast as the kernel answers. Orders by stdin: `watch PID`, `phase NAME` (what
 * comes now counts for it), `report` (answered by a line `answer JSON`: a `PhaseMemory` for each phase). PSS of
 * /proc/PID/smaps_rollup: a page that two share counts half for each, so that a sum over processes counts it once.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { clockMs } from '../session.js'

export interface PhaseMemory {
  samples: number
  /** Longest time between two samples: what could have gone unseen. */
  gapMs: number
  /** Most that all watched processes held together, and what each of them held then. */
  peakMb: number
  atPeakMb: { [pid: number]: number }
  /** Middle of what each held, while it lived. */
  medianMb: { [pid: number]: number }
  /** Most of the machine's shared memory: state on its way in memfds is in no process's PSS until it is mapped. */
  sharedPeakMb: number
}

interface Phase {
  times: number[]
  peak: number
  atPeak: { [pid: number]: number }
  all: Map<number, number[]>
  sharedPeak: number
}

const pids = new Set<number>()
const phases = new Map<string, Phase>()
let phase: Phase | undefined

/** KiB under a key of a file like /proc/meminfo; undefined when there is none, or no file. */
function kib(path: string, key: string): number | undefined {
  try {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(path, 'latin1'))
    return match === null ? undefined : Number(match[1])
  } catch {
    return undefined
  }
}

function sample(into: Phase): void {
  let sum = 0
  const each: { [pid: number]: number } = {}
  for (const pid of pids) {
    // Gone, or a zombie: it holds nothing.
    const pss = kib(`/proc/${pid}/smaps_rollup`, 'Pss')
    if (pss === undefined) continue
    sum += pss
    each[pid] = pss / 1024
    const held = into.all.get(pid)
    if (held === undefined) into.all.set(pid, [pss / 1024])
    else held.push(pss / 1024)
  }
  into.times.push(clockMs())
  into.sharedPeak = Math.max(into.sharedPeak, kib('/proc/meminfo', 'Shmem') ?? 0)
  if (sum <= into.peak) return
  into.peak = sum
  into.atPeak = each
}

function round(): void {
  if (phase !== undefined) sample(phase)
  setImmediate(round)
}

function memoryOf({ times, peak, atPeak, all, sharedPeak }: Phase): PhaseMemory {
  const gaps = times.slice(1).map((at, index) => at - times[index]!)
  const middle = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
  return {
    samples: times.length,
    gapMs: Math.max(0, ...gaps),
    peakMb: peak / 1024,
    atPeakMb: atPeak,
    medianMb: Object.fromEntries([...all].map(([pid, values]) => [pid, middle(values)])),
    sharedPeakMb: sharedPeak / 1024,
  }
}

round()
for await (const line of createInterface(process.stdin)) {
  const [verb, word = ''] = line.split(' ')
  if (verb === 'watch') pids.add(Number(word))
  else if (verb === 'phase') {
    phase = { times: [], peak: 0, atPeak: {}, all: new Map(), sharedPeak: 0 }
    phases.set(word, phase)
  } else if (verb === 'report') {
    phase = undefined
    console.log(
      `answer ${JSON.stringify(Object.fromEntries([...phases].map(([name, seen]) => [name, memoryOf(seen)])))}`,
    )
  } else break
}
process.exit()
