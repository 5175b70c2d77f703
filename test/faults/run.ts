/**
 * The kill matrix: `npm run test:faults -- [--only PATTERN] [--share 0.1] [--seed N] [--jobs N] [--json]`. A run of all
 * cells writes docs/faults.md. Exit status 0 only when no cell is red.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Outcome, rehearse, runCells } from './matrix.js'
import { report } from './report.js'
import { CELLS, shareOf } from './steps.js'
import { endAll } from './tapped.js'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    share: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
})

const seed = Number(options.seed)
const pattern = new RegExp(options.only ?? '')
const cells = shareOf(
  CELLS.filter(({ name }) => pattern.test(name)),
  Number(options.share),
  seed,
)
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`)

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.once(name, () => {
    endAll()
    process.exit(code)
  })
}

say(`${cells.length} of ${CELLS.length} cells, seed ${seed}`)
const began = performance.now()
const rehearsal = await rehearse()
for (const what of rehearsal.red) say(`RED ${what}`)
const outcomes = await runCells(cells, rehearsal, seed, Number(options.jobs), (outcome) => say(describe(outcome)))
const seconds = (performance.now() - began) / 1000
const red = [
  ...rehearsal.red.map((what) => ({ cell: 'rehearsal', red: [what] })),
  ...outcomes.filter(({ red }) => red.length > 0).map(({ cell, red }) => ({ cell: cell.name, red })),
]
say(`${outcomes.length} cells, ${red.length} red, ${seconds.toFixed(0)} s`)
if (outcomes.length === CELLS.length) writeFileSync('docs/faults.md', report(outcomes, seed, seconds))
if (options.json) process.stdout.write(`${JSON.stringify({ cells: outcomes.length, red, seed, seconds })}\n`)
process.exitCode = red.length === 0 ? 0 : 1

function describe({ cell, ending, red, ms }: Outcome): string {
  const verdict = red.length === 0 ? 'ok ' : 'RED'
  return [
    `${verdict} ${cell.name}: ${ending ?? '?'}  ${(ms / 1000).toFixed(1)} s`,
    ...red.map((what) => `      ${what}`),
  ].join('\n')
}
