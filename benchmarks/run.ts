/**
 * `npm run bench`: live sessions moved by handover, by Node's `process.send(socket)`, and by the least that could do it, in
 * the same run. `--sessions 10000 --state 1024 --trials 3 --only handover,floor --json` (the last line is then one object).
 */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { cleanEnvironment } from '../test/harness/child.js'
import type { MoveFigures } from './statistics.js'
import { type Summary, summarize, table } from './summary.js'
import { measureTargets, targetTable } from './targets/targets.js'

export const SUBJECTS = {
  handover: 'handover upgrade',
  ipc: 'process.send(socket), 64 outstanding',
  'ipc-all': 'process.send(socket), all at once',
  floor: 'sendmsg of 128 + new net.Socket({ fd })',
} as const
export type Subject = keyof typeof SUBJECTS

const { values: options } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10000' },
    state: { type: 'string', default: '1024' },
    trials: { type: 'string', default: '3' },
    only: { type: 'string', default: Object.keys(SUBJECTS).join(',') },
    /** Leaves the targets out. */
    'no-targets': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

async function runFresh(file: string, words: readonly string[]): Promise<unknown> {
  const args = ['--enable-source-maps', fileURLToPath(new URL(file, import.meta.url)), ...words]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: cleanEnvironment() })
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

const subjects = options.only.split(',') as Subject[]
const figures = new Map<Subject, MoveFigures[]>(subjects.map((subject) => [subject, []]))

// One trial of each in turn, so that a machine that slows down slows all of them.
for (let trial = 1; trial <= Number(options.trials); trial += 1) {
  for (const subject of subjects) {
    process.stderr.write(`trial ${trial} of ${options.trials}: ${SUBJECTS[subject]} … `)
    const one = (await runFresh('trial.js', [subject, options.sessions, options.state])) as MoveFigures
    process.stderr.write(`${Math.round(one.durationMs)} ms\n`)
    figures.get(subject)!.push(one)
  }
}

const results: Summary[] = subjects.map((subject) => summarize(SUBJECTS[subject], figures.get(subject)!))
const conditions = {
  date: new Date().toISOString().slice(0, 10),
  node: process.versions.node,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  sessions: Number(options.sessions),
  stateBytes: Number(options.state),
  trials: Number(options.trials),
}
const summaryOf = (name: Subject): Summary | undefined => results[subjects.indexOf(name)]
const targets = options['no-targets']
  ? []
  : await measureTargets(
      async (...words) => {
        process.stderr.write(`target: ${words.join(' ')}\n`)
        return runFresh('targets/trial.js', words)
      },
      Number(options.trials),
      { all: summaryOf('ipc-all'), best: summaryOf('ipc') },
    )
const out = process[options.json ? 'stderr' : 'stdout']
out.write(`${table(results, conditions)}\n\n${targetTable(targets)}\n`)
if (options.json) {
  const ratio = (peer: Subject): number | null => {
    const [own, other] = [summaryOf('handover'), summaryOf(peer)]
    return own && other ? own.sessionsPerSecond / other.sessionsPerSecond : null
  }
  const ratios = { ipc: ratio('ipc'), 'ipc-all': ratio('ipc-all'), floor: ratio('floor') }
  process.stdout.write(`${JSON.stringify({ conditions, results, handoverToPeer: ratios, targets })}\n`)
}
