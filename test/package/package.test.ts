/** The tarball as a user gets it: packed from a copy, installed without scripts, loaded where there is no compiler. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { HandoverError } from '../../src/errors.js'
import { load } from '../../src/sys/binding.js'
import { cleanEnvironment } from '../harness/child.js'
import { packageRoot } from '../native/script.js'

const platform = `${process.platform}-${process.arch}`
const area = mkdtempSync(join(tmpdir(), 'handover-package-'))
const copy = join(area, 'copy')
const user = join(area, 'user')
t.teardown(() => rmSync(area, { recursive: true, force: true }))

/** Headers that came with this Node spare node-gyp the download. */
function buildEnvironment(): NodeJS.ProcessEnv {
  const prefix = join(dirname(process.execPath), '..')
  const hasHeaders = existsSync(join(prefix, 'include/node/node_api.h'))
  return cleanEnvironment(hasHeaders ? { npm_config_nodedir: prefix } : {})
}

const run = (command: string, args: string[], cwd: string, env = buildEnvironment()): string =>
  execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Packing builds, and moves the addon away: never in the checkout, from which other tests load it. */
function pack(): string {
  const left = ['.git', 'node_modules', 'prebuilds', '.tap'].map((name) => join(packageRoot, name))
  cpSync(packageRoot, copy, { recursive: true, preserveTimestamps: true, filter: (path) => !left.includes(path) })
  symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'))
  run('npm', ['pack', '--silent', '--pack-destination', area], copy)
  return join(area, readdirSync(area).find((name) => name.endsWith('.tgz'))!)
}

const tarball = pack()
const files = run('tar', ['-tzf', tarball], area)
  .split('\n')
  .map((path) => path.replace(/^package\//, ''))

t.test('the tarball holds what is used, and nothing else', async (t) => {
  for (const path of [
    'package.json',
    'binding.gyp',
    'native/module.cc',
    'dist/src/sys/binding.js',
    'dist/src/sys/binding.d.ts',
  ]) {
    t.ok(files.includes(path), path)
  }
  t.same(
    files.filter((path) =>
      /^(test|scripts|benchmarks|examples|dist\/(test|benchmarks|examples)|build|node_modules)\//.test(path),
    ),
    [],
  )
  t.same(
    files.filter((path) => path.endsWith('.map') || path.endsWith('.o')),
    [],
  )
})

t.test('a stripped binary, named for its C library', async (t) => {
  const binaries = readdirSync(join(copy, 'prebuilds', platform))
  t.equal(binaries.length, 1)
  t.match(binaries[0], /^handover\.(glibc|musl)\.node$/)
  t.ok(files.includes(`prebuilds/${platform}/${binaries[0]}`))
  const sections = run('readelf', ['-S', '-W', join(copy, 'prebuilds', platform, binaries[0]!)], area)
  t.notMatch(sections, /\.symtab/)
  t.match(sections, /\.dynsym/)
})

mkdirSync(user)
run('npm', ['init', '--yes', '--silent'], user)
const cacheFirst = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--silent']
run('npm', ['install', ...cacheFirst, tarball], user)
const installed = join(user, 'node_modules/handover')

/** Only Node is in PATH. */
const bare = join(area, 'bin')
mkdirSync(bare)
symlinkSync(process.execPath, join(bare, 'node'))

const roundTrip = `
  const { binding } = await import(${JSON.stringify(join(installed, 'dist/src/sys/binding.js'))})
  const b = binding()
  const [left, right] = b.socketpair()
  b.send(left, Buffer.from('hello'), [left])
  console.log(JSON.stringify(b.receive(right, Buffer.alloc(10)).bytes))
`

function inUsersFolder(program: string): { stdout: string; stderr: string; status: number | null } {
  const env = cleanEnvironment({ PATH: bare })
  return spawnSync('node', ['--input-type=module', '-e', program], { cwd: user, env, encoding: 'utf8' })
}

t.test('installed without scripts and without a compiler, it imports and the addon works', async (t) => {
  t.equal(spawnSync('cc', ['--version'], { env: { PATH: bare } }).status, null, 'there is no compiler')
  t.notOk(existsSync(join(installed, 'build')), 'nothing was built')
  const imported = inUsersFolder(`console.log(typeof await import('handover'))`)
  t.equal(imported.stdout, 'object\n', imported.stderr)
  const supervisor = inUsersFolder(`console.log(typeof await import('handover/supervisor'))`)
  t.equal(supervisor.stdout, 'object\n', supervisor.stderr)
  const testing = inUsersFolder(`console.log(typeof (await import('handover/testing')).checkShapes)`)
  t.equal(testing.stdout, 'function\n', testing.stderr)
  const { stdout, stderr } = inUsersFolder(roundTrip)
  t.equal(stdout, '5\n', stderr)
})

t.test('the command runs where it was installed', async (t) => {
  const env = cleanEnvironment({ PATH: bare })
  const { status, stdout, stderr } = spawnSync(join(user, 'node_modules/.bin/handover'), ['--help'], {
    env,
    encoding: 'utf8',
  })
  t.equal(status, 0, stderr)
  t.match(stdout, /Usage: handover/)
})

t.test('where no binary fits, the error says what was tried, and its advice works', async (t) => {
  rmSync(join(installed, 'prebuilds'), { recursive: true })
  const failed = inUsersFolder(roundTrip)
  t.match(failed.stderr, /HANDOVER_ADDON_MISSING/)
  t.match(failed.stderr, 'node-gyp rebuild')
  const nodeGyp = join(packageRoot, 'node_modules/node-gyp/bin/node-gyp.js')
  run(process.execPath, [nodeGyp, 'rebuild', '--silent'], installed)
  const { stdout, stderr } = inUsersFolder(roundTrip)
  t.equal(stdout, '5\n', stderr)
})

t.test('a folder without binaries: a typed error that names platform and paths', async (t) => {
  const empty = `${mkdtempSync(join(area, 'empty-'))}/`
  let caught: unknown
  try {
    load(empty)
  } catch (error) {
    caught = error
  }
  t.ok(caught instanceof HandoverError)
  const { code, message } = caught as HandoverError
  t.equal(code, 'HANDOVER_ADDON_MISSING')
  for (const part of [platform, process.versions.node, `${empty}prebuilds`, `${empty}build/Release`]) {
    t.ok(message.includes(part), `${part} is in: ${message}`)
  }
})

t.test('the tarball is named for the version', async (t) => {
  const { version } = (await import(join(packageRoot, 'package.json'), { with: { type: 'json' } })).default
  t.equal(basename(tarball), `handover-${version}.tgz`)
})
