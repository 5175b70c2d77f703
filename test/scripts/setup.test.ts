/** Setup in a small copy of the project: it does what is needed, once, and says what went wrong. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cleanEnvironment } from '../harness/child.js'
import { packageRoot } from '../native/script.js'

const root = mkdtempSync(join(tmpdir(), 'handover-setup-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const inRoot = (path: string): string => join(root, path)
for (const path of [
  'scripts',
  'native',
  'build',
  'binding.gyp',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
]) {
  cpSync(join(packageRoot, path), inRoot(path), { recursive: true, preserveTimestamps: true })
}
symlinkSync(join(packageRoot, 'node_modules'), inRoot('node_modules'))
mkdirSync(inRoot('src'))
writeFileSync(inRoot('src/one.ts'), 'export const one = 1\n')
writeFileSync(inRoot('src/two.ts'), 'export const two = 2\n')

function setup(...flags: string[]): { code: number | null; stdout: string; stderr: string } {
  const options = { cwd: root, env: cleanEnvironment(), encoding: 'utf8' } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/setup.js', ...flags], options)
  return { code: status, stdout, stderr }
}

const silent = { code: 0, stdout: '', stderr: '' }

t.test('compiles the first time, and does nothing the second', async (t) => {
  const first = setup()
  t.equal(first.code, 0, first.stderr)
  t.match(first.stderr, /compiling TypeScript/)
  t.notMatch(first.stderr, /npm ci|node-gyp/, 'what is there is not made again')
  t.equal(first.stdout, '', 'stdout belongs to what runs after it')
  t.ok(existsSync(inRoot('dist/src/one.js')))
  t.same(setup(), silent)
})

t.test('a changed source is compiled', async (t) => {
  writeFileSync(inRoot('src/one.ts'), 'export const one = 111\n')
  t.match(setup().stderr, /compiling TypeScript/)
  t.match(readFileSync(inRoot('dist/src/one.js'), 'utf8'), '111')
  t.same(setup(), silent)
})

t.test('the output of a source that is gone goes too', async (t) => {
  rmSync(inRoot('src/two.ts'))
  t.equal(setup().code, 0)
  t.notOk(existsSync(inRoot('dist/src/two.js')))
  t.notOk(existsSync(inRoot('dist/src/two.d.ts')))
  t.ok(existsSync(inRoot('dist/src/one.js')))
})

t.test('an output that was removed is made again', async (t) => {
  rmSync(inRoot('dist/src/one.js'))
  t.equal(setup().code, 0)
  t.ok(existsSync(inRoot('dist/src/one.js')))
  t.same(setup(), silent)
})

t.test('an error is shown in full, with what to do, and is not forgotten', async (t) => {
  writeFileSync(inRoot('src/one.ts'), 'export const one: string = 1\n')
  for (const time of ['first', 'second']) {
    const { code, stdout, stderr } = setup()
    t.equal(code, 1, `the ${time} time`)
    t.equal(stdout, '')
    t.match(stderr, "src/one.ts(1,14): error TS2322: Type 'number' is not assignable to type 'string'")
    t.match(stderr, 'Mend the errors above')
  }
  writeFileSync(inRoot('src/one.ts'), 'export const one = 1\n')
  t.equal(setup().code, 0)
})

t.test('with --native the sources are not looked at', async (t) => {
  writeFileSync(inRoot('src/one.ts'), 'export const one: string = 1\n')
  t.same(setup('--native'), silent)
  t.same(setup('--packages'), silent)
  writeFileSync(inRoot('src/one.ts'), 'export const one = 1\n')
})

t.test('two at once: one works, the other waits and finds it done', async (t) => {
  rmSync(inRoot('dist'), { recursive: true })
  const both = [1, 2].map(() => spawn(process.execPath, ['scripts/setup.js'], { cwd: root, env: cleanEnvironment() }))
  const said = ['', '']
  for (const [index, child] of both.entries()) child.stderr.on('data', (chunk) => (said[index] += chunk))
  t.same(
    (await Promise.all(both.map((child) => once(child, 'close')))).map(([code]) => code),
    [0, 0],
  )
  t.equal(said.filter((text) => text.includes('compiling TypeScript')).length, 1)
  t.ok(existsSync(inRoot('dist/src/one.js')))
})

t.test('an addon that does not build: the compiler’s words, and what is needed', async (t) => {
  writeFileSync(inRoot('native/module.cc'), '#error "not today"\n')
  const { code, stderr } = setup('--native')
  t.equal(code, 1)
  t.match(stderr, 'not today')
  t.match(stderr, 'build-essential')
})

t.test('an option it does not know', async (t) => {
  t.match(setup('--everything'), { code: 1, stderr: /unknown option --everything/ })
})
