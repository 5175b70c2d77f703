/** The test runner is what everything else is believed by: here it runs files that fail in every way it must see. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cleanEnvironment } from '../harness/child.js'
import { packageRoot } from '../native/script.js'

const root = mkdtempSync(join(tmpdir(), 'handover-runner-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
cpSync(join(packageRoot, 'scripts'), join(root, 'scripts'), { recursive: true })
symlinkSync(join(packageRoot, 'node_modules'), join(root, 'node_modules'))
writeFileSync(join(root, 'package.json'), '{ "type": "module" }')

function write(path: string, body: string): void {
  const file = join(root, 'dist/test', path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, body)
}

interface Results {
  readonly files: number
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly results: readonly { readonly file: string; readonly failures: readonly { readonly name: string }[] }[]
}

function runTests(
  words: string[],
  env: NodeJS.ProcessEnv = {},
): { code: number | null; output: string; results: Results } {
  // Its own results file, not the one that this run of the tests was told to write.
  const own = { HANDOVER_TEST_RESULTS: '.tap/results.json', HANDOVER_TEST_TIMEOUT_SCALE: '0.3', ...env }
  const options = { cwd: root, env: cleanEnvironment(own), encoding: 'utf8' } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/test.js', ...words], options)
  const results = status === 2 ? undefined : JSON.parse(readFileSync(join(root, '.tap/results.json'), 'utf8'))
  return { code: status, output: stdout + stderr, results }
}

const tap = `import t from 'tap'\n`
write(
  'good.test.js',
  `${tap}t.ok(true)\nt.test('inner', async (t) => { t.ok(1); t.test('deep', async (t) => t.equal(1, 1)) })`,
)
write('skips.test.js', `${tap}t.ok(true)\nt.test('elsewhere', { skip: 'needs another machine' }, async () => {})`)
write('whole.test.js', `${tap}t.plan(0, 'not on this machine')`)
write('matrix/other.test.js', `${tap}t.ok(true)`)
write('helper.js', 'throw new Error("no test")')

const bad: Record<string, [body: string, failure: RegExp]> = {
  'bad/assertion.test.js': [
    `${tap}t.test('inner', async (t) => { t.ok(true); t.equal(1, 2, 'one is two') })`,
    /one is two/,
  ],
  'bad/throws.test.js': [`${tap}t.test('inner', async () => { throw new Error('thrown') })`, /thrown/],
  'bad/exit.test.js': [`${tap}t.ok(true)\nprocess.on('exit', () => process.reallyExit(3))`, /exit code 3|incomplete/],
  'bad/killed.test.js': [`${tap}t.ok(true)\nprocess.kill(process.pid, 'SIGKILL')`, /killed by SIGKILL/],
  'bad/nothing.test.js': ['', /no assertion/],
  'bad/unfinished.test.js': [`${tap}t.test('never', async () => new Promise(() => {}))`, /never/],
  'bad/warns.test.js': [
    `${tap}import { EventEmitter } from 'node:events'
     const emitter = new EventEmitter()
     for (let i = 0; i < 20; i++) emitter.on('x', () => {})
     process.on('warning', () => t.ok(true))`,
    /MaxListenersExceededWarning/,
  ],
  'bad/leaves.test.js': [
    `${tap}import { spawn } from 'node:child_process'
     spawn('sleep', ['1000'], { stdio: 'ignore' }).unref()
     t.ok(true)`,
    /still running/,
  ],
  'bad/leaves-session.test.js': [
    `${tap}import { spawn } from 'node:child_process'
     spawn('sleep', ['1000'], { stdio: 'ignore', detached: true }).unref()
     t.ok(true)`,
    /still running/,
  ],
}
for (const [path, [body]] of Object.entries(bad)) write(path, body)

t.test('counts every assertion once, and what is skipped with its reason', async (t) => {
  const { code, output, results } = runTests(['test/good.test.ts', 'test/skips.test.ts', 'test/whole.test.ts'])
  t.equal(code, 0, output)
  t.match(results, { files: 3, passed: 4, failed: 0, skipped: 2 })
  t.match(output, 'skipped: elsewhere: needs another machine')
  t.match(output, 'skipped: the whole file: not on this machine')
  t.match(output, '3 files: 4 passed, 0 failed, 2 skipped')
})

for (const [path, [, failure]] of Object.entries(bad)) {
  t.test(`fails ${path}`, async (t) => {
    const { code, output, results } = runTests([`test/${path.replace(/\.js$/, '.ts')}`])
    t.equal(code, 1, output)
    t.equal(results.failed > 0, true)
    t.match(results.results[0]?.failures.map(({ name }) => name).join('\n'), failure)
  })
}

t.test('a file that hangs is ended by its timeout', async (t) => {
  write('hangs.test.js', `${tap}t.test('hangs', async () => { for (;;) await new Promise((r) => setTimeout(r, 10)) })`)
  const { code, output } = runTests(['test/hangs.test.ts'], { HANDOVER_TEST_TIMEOUT_SCALE: '0.01' })
  t.equal(code, 1)
  t.match(output, /hangs/)
  rmSync(join(root, 'dist/test/hangs.test.js'))
})

t.test('a folder, all, or the matrix', async (t) => {
  t.equal(runTests(['test/bad', '--jobs=2']).results.files, Object.keys(bad).length)
  t.equal(runTests(['matrix']).results.files, 1)
  const all = runTests([]).results.results.map(({ file }) => file)
  t.notOk(all.includes('test/matrix/other.test.ts'), 'the matrix is run by its name only')
  t.equal(all.length, Object.keys(bad).length + 3)
})

t.test('what it does not know is a usage error', async (t) => {
  t.match(runTests(['test/nowhere.test.ts']), { code: 2, output: /there is no test in test\/nowhere/ })
  t.match(runTests(['--fast']), { code: 2, output: /unknown option --fast/ })
})
