// Makes a fresh clone, or one that has changed, ready to run: packages, native addon, compiled TypeScript.
// Each step looks at content first and does nothing when it is up to date. Runs with nothing installed.
//
//   node scripts/setup.js              all steps
//   node scripts/setup.js --packages   packages only
//   node scripts/setup.js --native     packages and the native addon
//
// It speaks on stderr only: what runs after it may own stdout ("npm start -- --json").
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const inRoot = (...parts) => join(root, ...parts)
const SOURCE_FOLDERS = ['src', 'test', 'benchmarks', 'examples']

const steps = [
  {
    name: 'packages',
    doing: 'installing packages (npm ci)',
    stamp: inRoot('node_modules/.handover-setup'),
    content: () => hashOf([inRoot('package-lock.json')]),
    // Installed by hand: what npm says it installed is what the lock file asks for.
    isDoneByHand: () => installedVersionsMatch(),
    isDamaged: () => !existsSync(inRoot('node_modules/typescript')),
    run: installPackages,
  },
  {
    name: 'native',
    doing: 'building the native addon (node-gyp)',
    stamp: inRoot('build/.handover-setup'),
    content: () => hashOf([inRoot('binding.gyp'), ...filesUnder(inRoot('native'))], [process.platform, process.arch]),
    isDoneByHand: () => isNewest(inRoot('build/Release/handover.node'), nativeSources()),
    isDamaged: () => !existsSync(inRoot('build/Release/handover.node')),
    run: buildNative,
  },
  {
    name: 'typescript',
    doing: 'compiling TypeScript (tsc -b)',
    stamp: inRoot('dist/.handover-setup'),
    content: () => hashOf([inRoot('tsconfig.json'), inRoot('package-lock.json'), ...typescriptSources()]),
    isDoneByHand: () => false,
    isDamaged: () => typescriptSources().some((source) => !existsSync(outputOf(source))),
    run: compileTypescript,
  },
]

await main(process.argv.slice(2))

async function main(flags) {
  const unknown = flags.filter((flag) => !['--packages', '--native'].includes(flag))
  if (unknown.length > 0) fail(`unknown option ${unknown[0]}`, 'Options are --packages and --native.')
  requireNode()
  const count = flags.includes('--packages') ? 1 : flags.includes('--native') ? 2 : 3
  const wanted = steps.slice(0, count)
  if (wanted.every(isUpToDate)) return
  const lock = await takeLock()
  for (const step of wanted) runStep(step)
  lock?.close()
}

/** Asked again under the lock: another setup may have done it meanwhile. */
function runStep(step) {
  if (isUpToDate(step)) return
  const content = step.content()
  if (!step.isDamaged() && step.isDoneByHand()) {
    writeStamp(step, content)
    return
  }
  const began = performance.now()
  process.stderr.write(`setup: ${step.doing} ...\n`)
  step.run()
  writeStamp(step, content)
  process.stderr.write(`setup: ${step.name} ready after ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
}

function isUpToDate(step) {
  return existsSync(step.stamp) && readFileSync(step.stamp, 'utf8') === step.content() && !step.isDamaged()
}

function writeStamp(step, content) {
  mkdirSync(dirname(step.stamp), { recursive: true })
  writeFileSync(step.stamp, content)
}

function installPackages() {
  // Nothing of ours needs an install script, and npm 12 would not run them; so none is run anywhere.
  const options = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund']
  const [command, ...leading] = npm()
  run(
    command,
    [...leading, ...options],
    'Check the network and the registry ("npm ping"), then run "npm ci --ignore-scripts" by hand.',
  )
}

function buildNative() {
  const script = inRoot('node_modules/node-gyp/bin/node-gyp.js')
  // Not "rebuild": that removes the binary first, also from under a program that is about to load it.
  run(
    process.execPath,
    [script, 'configure', 'build', ...headers()],
    'A C++17 compiler, make and Python 3 are needed: "apt-get install build-essential python3".',
  )
}

function compileTypescript() {
  removeStaleOutputs()
  const isMissingOutput = existsSync(inRoot('dist/.tsbuildinfo')) && steps[2].isDamaged()
  // The incremental state believes in outputs that somebody removed.
  if (isMissingOutput) rmSync(inRoot('dist/.tsbuildinfo'))
  const script = inRoot('node_modules/typescript/bin/tsc')
  run(process.execPath, [script, '-b', '--pretty', String(Boolean(process.stderr.isTTY))], 'Mend the errors above.')
  // npm does this for who installs the package; in a checkout "npx handover" runs the file itself.
  const command = inRoot('dist/src/cli/main.js')
  if (existsSync(command)) chmodSync(command, 0o755)
}

/** The output of a source that is gone would still be found, and run, as a test. */
function removeStaleOutputs() {
  for (const folder of SOURCE_FOLDERS) {
    for (const output of filesUnder(inRoot('dist', folder))) {
      const source = output.slice(inRoot('dist/').length).replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
      if (!existsSync(inRoot(source))) rmSync(output)
    }
  }
}

/** Headers that came with this Node spare node-gyp the download. */
function headers() {
  const prefix = join(dirname(process.execPath), '..')
  const isGiven = process.env.npm_config_nodedir !== undefined
  return !isGiven && existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
}

/** The npm that runs us, else the one beside this Node, else the one in PATH. */
function npm() {
  const beside = join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js')
  const script = [process.env.npm_execpath, beside].find((path) => path?.endsWith('npm-cli.js') && existsSync(path))
  return script === undefined ? ['npm'] : [process.execPath, script]
}

function run(command, options, next) {
  const result = spawnSync(command, options, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (result.status === 0) return
  const reason = result.error?.message ?? (result.signal ? `killed by ${result.signal}` : `exit code ${result.status}`)
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}\n`)
  fail(`"${[command, ...options].join(' ')}" failed: ${reason}`, next)
}

function installedVersionsMatch() {
  const wanted = packagesIn(inRoot('package-lock.json'))
  const installed = packagesIn(inRoot('node_modules/.package-lock.json'))
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' || (installed[path] ? installed[path].version === entry.version : entry.optional === true),
  )
}

function packagesIn(lockFile) {
  return existsSync(lockFile) ? JSON.parse(readFileSync(lockFile, 'utf8')).packages : {}
}

function nativeSources() {
  return [inRoot('binding.gyp'), ...filesUnder(inRoot('native'))]
}

function typescriptSources() {
  return SOURCE_FOLDERS.flatMap((folder) => filesUnder(inRoot(folder))).filter((path) => path.endsWith('.ts'))
}

function outputOf(source) {
  const path = source.slice(root.length)
  return inRoot('dist', path.endsWith('.d.ts') ? 'src' : path.replace(/\.ts$/, '.js'))
}

function isNewest(path, others) {
  return existsSync(path) && others.every((other) => statSync(other).mtimeMs <= statSync(path).mtimeMs)
}

function filesUnder(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** Names count as well as contents: a file that moved is a change. */
function hashOf(paths, more = []) {
  const hash = createHash('sha256').update(more.join('\0'))
  for (const path of paths) hash.update(`\0${path.slice(root.length)}\0`).update(readFileSync(path))
  return hash.digest('hex')
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)) return
  fail(`Node ${process.versions.node} is not supported`, 'Use Node 20.19 or newer of line 20, or 22.12 or newer.')
}

/**
 * One setup at a time. An abstract socket is a lock that the kernel takes back when its holder dies, however it dies.
 * Linux only; elsewhere nothing is locked.
 */
async function takeLock() {
  if (process.platform !== 'linux') return undefined
  const name = `\0handover-setup-${hashOf([], [root])}`
  for (let attempt = 0; ; attempt++) {
    const lock = await new Promise((resolve, reject) => {
      const server = createServer()
      server.once('listening', () => resolve(server))
      server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
      server.listen(name)
    })
    if (lock !== undefined) return lock
    if (attempt === 0) process.stderr.write('setup: another one is running here, waiting for it ...\n')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function fail(what, next) {
  process.stderr.write(`setup: ${what}\nsetup: ${next}\n`)
  process.exit(1)
}
