// The long runs of test/soak, of which `npm test` takes a small share.
//
//   node scripts/soak.js generations [--generations 100]
//   node scripts/soak.js http [--requests 100000]
//   node scripts/soak.js oracle [--megabytes 1024] [--connections 2000] [--seed N]
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const RUNS = {
  generations: { test: 'test/soak/soak.test.ts', prefix: 'HANDOVER_SOAK', options: { generations: '100' } },
  http: { test: 'test/soak/http.test.ts', prefix: 'HANDOVER_HTTP', options: { requests: '100000' } },
  oracle: {
    test: 'test/soak/oracle.test.ts',
    prefix: 'HANDOVER_ORACLE',
    options: { megabytes: '1024', connections: '2000', upgrades: '30', seed: String(Date.now() % 1_000_000) },
  },
}

const [name, ...args] = process.argv.slice(2)
const run = Object.hasOwn(RUNS, name ?? '') ? RUNS[name] : undefined
if (run === undefined) {
  console.error(`usage: node scripts/soak.js ${Object.keys(RUNS).join('|')} [--option value ...]`)
  process.exit(2)
}
const { values } = parseArgs({
  args,
  options: Object.fromEntries(
    Object.entries(run.options).map(([key, value]) => [key, { type: 'string', default: value }]),
  ),
})
const environment = { HANDOVER_TEST_TIMEOUT_SCALE: '10', ...process.env }
for (const [key, value] of Object.entries(values)) environment[`${run.prefix}_${key.toUpperCase()}`] = value
console.log(
  `${name}: ${Object.entries(values)
    .map((each) => each.join(' '))
    .join(', ')}`,
)
// Not by scripts/test.js: what a long run says of itself, its figures, is to be seen.
environment.TAP_TIMEOUT = String(120 * Number(environment.HANDOVER_TEST_TIMEOUT_SCALE))
const words = ['--enable-source-maps', join(root, 'dist', run.test.replace(/\.ts$/, '.js'))]
process.exitCode = spawnSync(process.execPath, words, { cwd: root, env: environment, stdio: 'inherit' }).status ?? 1
