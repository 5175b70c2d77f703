// Runs the compiled tests, each file in a process and a process group of its own, and reads the TAP they print.
//
//   node scripts/test.js                            all but test/matrix, test/systemd and test/model/mutations
//   node scripts/test.js matrix                     test/matrix only; so systemd
//   node scripts/test.js test/wire/frame.test.ts    files or folders, by source path
//   node scripts/test.js --jobs=1 ...               how many files at once (2)
//
// Not the tap command: its loaders reach into every child through NODE_OPTIONS, and the processes under test are to be
// as a user's are. HANDOVER_TEST_TIMEOUT_SCALE=3 gives everything three times as long. The counts are also written, as
// JSON, to .tap/results.json or to the file HANDOVER_TEST_RESULTS names.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

const root = fileURLToPath(new URL('..', import.meta.url))
const scale = Number(process.env.HANDOVER_TEST_TIMEOUT_SCALE ?? 1)
const FILE_TIMEOUT_SECONDS = 120 * scale
const GROUP_GONE_WITHIN_MS = 3000 * scale
/** Tests that measure time or memory, and those that need the machine for themselves: one at a time. */
const ALONE = ['process/memory', 'soak/', 'systemd/', 'matrix/', 'native/leaks', 'benchmarks/', 'scripts/']
/** What takes longest begins first: the last file is then a short one. */
const LONGEST_FIRST = ['process/', 'package/', 'faults/', 'adapters/', 'native/']
/** Run by a command of their own. */
const OF_THEIR_OWN = ['matrix/', 'model/mutations', 'systemd/']
/** Said by Node about the code under test; the rest of stderr is the tests' own affair. */
const WARNING = /^\(node:\d+\) (?!ExperimentalWarning)(\[\w+\] )?\w*Warning: .*/m

const running = new Set()
const results = []

await main(process.argv.slice(2))

async function main(words) {
  const jobs = Number(
    words.find((word) => word.startsWith('--jobs='))?.slice('--jobs='.length) ?? Math.min(2, cpus().length),
  )
  const names = words.filter((word) => !word.startsWith('--'))
  const isKnown = (word) => /^--jobs=[1-9]\d*$/.test(word) || !word.startsWith('--')
  const unknown = words.find((word) => !isKnown(word))
  if (unknown !== undefined) fail(`unknown option ${unknown}`)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => interrupt(signal))

  const files = select(names)
  const isAlone = (file) => ALONE.some((name) => file.startsWith(`dist/test/${name}`))
  const rank = (file) => {
    const found = LONGEST_FIRST.findIndex((name) => file.startsWith(`dist/test/${name}`))
    return found === -1 ? LONGEST_FIRST.length : found
  }
  await runAll(
    files.filter((file) => !isAlone(file)).sort((a, b) => rank(a) - rank(b)),
    jobs,
  )
  await runAll(files.filter(isAlone), 1)
  report()
}

/** Compiled files, relative to the root. */
function select(names) {
  if (names.length === 0) {
    const files = testsUnder('dist/test').filter(
      (file) => !OF_THEIR_OWN.some((name) => file.startsWith(`dist/test/${name}`)),
    )
    return files.length > 0 ? files : fail('nothing is compiled; run "node scripts/setup.js"')
  }
  if (names[0] === 'matrix' || names[0] === 'systemd')
    return [...testsUnder(`dist/test/${names[0]}`), ...names.slice(1).flatMap(find)]
  return [...new Set(names.flatMap(find))]
}

function find(name) {
  const path = relative(root, resolve(name))
    .replace(/^(?!dist\/)/, 'dist/')
    .replace(/\.ts$/, '.js')
  const found = testsUnder(path)
  if (found.length === 0) fail(`there is no test in ${name}`)
  return found
}

function testsUnder(path) {
  const absolute = join(root, path)
  if (!existsSync(absolute)) return []
  if (statSync(absolute).isFile()) return path.endsWith('.test.js') ? [path] : []
  return readdirSync(absolute, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(path, name))
    .sort()
}

async function runAll(files, jobs) {
  const queue = [...files]
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file)
      results.push(result)
      print(result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
}

async function runFile(file) {
  const began = performance.now()
  const result = { file: sourceOf(file), passed: 0, skipped: [], failures: [], seconds: 0, stderr: '' }
  const mark = `HANDOVER_TEST_FILE=${randomUUID()}`
  const environment = {
    ...process.env,
    TAP_TIMEOUT: String(FILE_TIMEOUT_SECONDS),
    HANDOVER_TEST_FILE: mark.split('=')[1],
  }
  delete environment.NODE_OPTIONS
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const started = { group: child.pid, mark }
  running.add(started)
  const parser = new Parser()
  parser.on('pass', () => result.passed++)
  parser.on('skip', (assert) => result.skipped.push({ name: assert.fullname, reason: reasonOf(assert.skip) }))
  parser.on('todo', (assert) =>
    result.skipped.push({ name: assert.fullname, reason: `todo: ${reasonOf(assert.todo)}` }),
  )
  parser.on('fail', (assert) => result.failures.push({ name: assert.fullname || assert.name, detail: assert.diag }))
  const parsed = new Promise((done) => parser.once('complete', done))
  child.stdout.pipe(parser)
  child.stderr.on('data', (chunk) => {
    result.stderr = (result.stderr + chunk).slice(-200_000)
  })

  // tap's own timeout comes first and says which test was running; this one is for a process that cannot say anything.
  const timer = setTimeout(() => kill(started), (FILE_TIMEOUT_SECONDS + 15) * 1000)
  const [code, signal] = await new Promise((done) => child.once('exit', (...end) => done(end)))
  clearTimeout(timer)
  if (!(await isAllGone(started))) {
    result.failures.push({ name: 'a process the test started was still running at its end' })
    kill(started)
  }
  // A process that left the group may hold the stream open for ever.
  const cut = setTimeout(() => {
    child.stdout.destroy()
    parser.end()
  }, GROUP_GONE_WITHIN_MS)
  const summary = await parsed
  clearTimeout(cut)
  running.delete(started)
  result.seconds = (performance.now() - began) / 1000
  const skipReason = skipReasonOf(summary)
  if (skipReason !== undefined) result.skipped.push({ name: 'the whole file', reason: skipReason })
  if (result.failures.length === 0) result.failures.push(...hiddenFailures(summary, code, signal, result.stderr))
  return result
}

/** Why a file skipped itself as a whole. No output at all is a plan of nothing too, in the parser's own words. */
function skipReasonOf(summary) {
  const { skipAll, skipReason } = summary.plan
  return skipAll && skipReason && skipReason !== 'no tests found' ? skipReason : undefined
}

/** Failures that no assertion reports. */
function hiddenFailures(summary, code, signal, stderr) {
  const warning = WARNING.exec(stderr)
  if (signal !== null) return [{ name: `killed by ${signal}` }]
  if (code !== 0) return [{ name: `exit code ${code}` }]
  if (!summary.ok) return [{ name: 'incomplete output', detail: summary.failures }]
  if (summary.count === 0 && skipReasonOf(summary) === undefined) return [{ name: 'no assertion' }]
  return warning === null ? [] : [{ name: warning[0] }]
}

async function isAllGone({ group, mark }) {
  const giveUpAt = performance.now() + GROUP_GONE_WITHIN_MS
  while (performance.now() < giveUpAt) {
    if (!isGroup(group) && markedWith(mark).length === 0) return true
    await new Promise((done) => setTimeout(done, 10))
  }
  return false
}

function isGroup(group) {
  try {
    process.kill(-group, 0)
    return true
  } catch {
    return false
  }
}

/** What a supervisor starts leads a session of its own: it is known by the environment it was started with. */
function markedWith(mark) {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(mark)
    } catch {
      // It has ended, or is another user's.
      return false
    }
  })
}

function print(result) {
  const verdict = result.failures.length > 0 ? 'FAIL' : 'ok  '
  const skipped = result.skipped.length > 0 ? `, ${result.skipped.length} skipped` : ''
  const line = `${verdict} ${result.file}  ${result.passed} passed${skipped}  ${result.seconds.toFixed(1)} s`
  console.log(line)
  for (const skip of result.skipped) console.log(`     skipped: ${skip.name}: ${skip.reason}`)
  for (const { name, detail } of result.failures) {
    console.log(`\n  ✗ ${name}`)
    if (detail) console.log(indent(describe(detail)))
  }
  if (result.failures.length > 0) console.log(result.stderr ? `\n  stderr:\n${indent(result.stderr)}\n` : '')
}

function describe(detail) {
  if (typeof detail !== 'object') return String(detail)
  const { source, ...rest } = detail
  return Object.entries(rest)
    .map(([key, value]) => (typeof value === 'string' ? `${key}: ${value}` : `${key}: ${inspect(value, { depth: 6 })}`))
    .join('\n')
}

function report() {
  const total = (count) => results.reduce((sum, result) => sum + count(result), 0)
  const counts = {
    files: results.length,
    passed: total((result) => result.passed),
    failed: total((result) => result.failures.length),
    skipped: total((result) => result.skipped.length),
  }
  const path = resolve(process.env.HANDOVER_TEST_RESULTS ?? join(root, '.tap/results.json'))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(
    path,
    `${JSON.stringify({ ...counts, results: results.map(({ stderr, ...rest }) => rest) }, null, 2)}\n`,
  )
  const failed = results.filter((result) => result.failures.length > 0)
  if (failed.length > 0) console.log(`\nfailed: ${failed.map((result) => result.file).join(' ')}`)
  console.log(`\n${counts.files} files: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  process.exitCode = counts.failed > 0 ? 1 : 0
}

function sourceOf(file) {
  return file.replace(/^dist\//, '').replace(/\.js$/, '.ts')
}

function reasonOf(directive) {
  return typeof directive === 'string' ? directive : 'no reason given'
}

function indent(text) {
  return text.trimEnd().replace(/^/gm, '    ')
}

/** All that it has started: a test that is killed cannot clean up after itself. */
function kill({ group, mark }) {
  for (const pid of [-group, ...markedWith(mark).map(Number)]) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // gone by itself
    }
  }
}

function interrupt(signal) {
  for (const started of running) kill(started)
  process.kill(process.pid, signal)
}

function fail(what) {
  process.stderr.write(`test: ${what}\n`)
  process.exit(2)
}
