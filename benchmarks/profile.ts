/**
 * Where the time of an upgrade goes: `node dist/benchmarks/profile.js [--sessions N] [--active N] [--mode touch] [--out FOLDER]
 * [--node PATH]` runs one with both sides under V8's sampling profiler, prints for each a table of phases and groups of
 * functions, and writes a flame graph of each into benchmarks/profiles. The profiler itself costs: compare parts, not sums,
 * with what the benchmark measures.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { breakDown, breakdownTable, type Window, within } from './profile/breakdown.js'
import { readCpuProfile } from './profile/cpu-profile.js'
import { flameGraph } from './profile/flame-graph.js'
import { main, passed, portOf, serverCommand, startCrowd, supervise, t } from './trials/harness.js'
import { upgradeOnce } from './trials/upgrade-once.js'

/** Microseconds between two samples. */
const INTERVAL_US = 100
/** After the commit: the successor activates sessions, the predecessor closes its copies. */
const AFTERMATH_MS = 200
const PHASES = ['check', 'copy', 'transfer', 'vote', 'commit']

const { values: options } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10000' },
    active: { type: 'string', default: '500' },
    mode: { type: 'string', default: 'touch' },
    node: { type: 'string', default: process.execPath },
    out: { type: 'string', default: fileURLToPath(new URL('../../benchmarks/profiles/', import.meta.url)) },
  },
})

async function profile(): Promise<void> {
  const [sessions, active, stateBytes] = [Number(options.sessions), Number(options.active), 1024]
  const folder = mkdtempSync(join(tmpdir(), 'handover-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [node, ...args] = serverCommand('echo', [sessions, stateBytes, options.mode, 'clock'], options.node)
  const profiler = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`]
  const supervisor = supervise([node!, ...profiler, ...args])
  const crowd = startCrowd()
  await crowd.connect(await portOf(supervisor.child), sessions, active)
  await crowd.order('prove')
  const first = await upgradeOnce(supervisor, { sessions, stateBytes })
  await crowd.order('prove')
  const { result, pid: successor } = await upgradeOnce(supervisor, { sessions, stateBytes })
  await passed(AFTERMATH_MS)
  await crowd.order('prove')
  // Each ends by SIGTERM, and writes its profile then.
  await supervisor.stop()

  const frozenAtMs = lastCaptureOf(supervisor.child.lines, first.pid)
  if (Number.isNaN(frozenAtMs)) throw new Error('the predecessor did not say when it froze')
  const windows = windowsOf(result.phases, frozenAtMs)
  mkdirSync(options.out, { recursive: true })
  for (const [side, pid] of [
    ['predecessor', first.pid],
    ['successor', successor],
  ] as const) {
    const file = readdirSync(folder).find((name) => name.split('.').includes(String(pid)))
    if (file === undefined) throw new Error(`the ${side} wrote no profile`)
    const samples = readCpuProfile(join(folder, file))
    const title = `${side}: ${sessions} sessions, ${active} active, mode ${options.mode}, Node ${result.to.node}`
    console.log(`${breakdownTable(title, breakDown(samples, windows, sessions))}\n`)
    const shown = samples.filter((sample) => windows.some((window) => within(sample, window)))
    const path = join(options.out, `${side}.svg`)
    writeFileSync(path, flameGraph(`${title}: check to ${AFTERMATH_MS} ms after commit`, shown, sessions))
    console.log(`${path}\n`)
  }
}

/** The last one before it was taken over is the one of the freeze. */
function lastCaptureOf(lines: readonly string[], pid: number): number {
  const captures = lines.flatMap((line) => new RegExp(`^captured ${pid} (.*)$`).exec(line)?.[1] ?? [])
  return Number(captures.at(-1) ?? Number.NaN)
}

/** The predecessor's phases lie end to end; shared state is captured at the beginning of `transfer`. */
function windowsOf(phases: readonly { phase: string; durationMs: number }[], frozenAtMs: number): Window[] {
  const lasting = (name: string): number => phases.find(({ phase }) => phase === name)?.durationMs ?? 0
  let at = frozenAtMs - lasting('check') - lasting('copy')
  const windows = PHASES.map((phase) => ({ phase, fromMs: at, toMs: (at += lasting(phase)) }))
  return [...windows, { phase: 'after', fromMs: at, toMs: at + AFTERMATH_MS }]
}

await main(profile)
