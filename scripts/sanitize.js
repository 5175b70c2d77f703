// Runs the native tests, and those of the transfer, with an addon that was built with a sanitizer, and its runtime
// preloaded into Node.
//
//   node scripts/sanitize.js address              all (of thread: test/native, where threads are)
//   node scripts/sanitize.js thread test/native/watcher.test.ts
//
// The build is in build-address, build-undefined, build-thread: build/Release stays what it is. Reports of all processes,
// also of those that were killed later, are files there; one report fails the run.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const SANITIZERS = {
  address: {
    library: 'libasan.so',
    symbol: '__asan_init',
    variable: 'ASAN_OPTIONS',
    // Leaks: Node and V8 leave at exit what the end of the process frees anyway, thousands of blocks; what the addon
    // leaves behind is counted by test/native/leaks.test.ts.
    folders: ['native', 'transfer'],
    // Quarantine: freed memory is held back, and would look like a leak where memory is counted.
    options: ['detect_leaks=0', 'detect_stack_use_after_return=1', 'strict_string_checks=1', 'quarantine_size_mb=1'],
  },
  undefined: {
    library: 'libubsan.so',
    symbol: '__ubsan_handle_',
    variable: 'UBSAN_OPTIONS',
    folders: ['native', 'transfer'],
    options: ['print_stacktrace=1'],
  },
  thread: {
    library: 'libtsan.so',
    symbol: '__tsan_init',
    variable: 'TSAN_OPTIONS',
    folders: ['native'],
    // Its runtime crashes in a shell, and these begin with one.
    notHere: ['test/native/descriptor.test.ts', 'test/native/process.test.ts'],
    // Node is not built with it: its atomics are unseen, and what it does by malloc, free and memmove looks like races.
    // Locks are still followed, and what the addon's own code reads and writes is still compared.
    options: ['ignore_noninstrumented_modules=1', 'second_deadlock_stack=1'],
  },
}
/** Of memory: a sanitizer keeps what was freed. Of the binary that is shipped: it is another one here. */
const NOT_HERE = ['test/native/leaks.test.ts', 'test/native/prebuild.test.ts']

main(process.argv.slice(2))

function main([name, ...names]) {
  const sanitizer = Object.hasOwn(SANITIZERS, name ?? '') ? SANITIZERS[name] : undefined
  if (sanitizer === undefined) fail(`usage: node scripts/sanitize.js ${Object.keys(SANITIZERS).join('|')} [test ...]`)
  const library = spawnSync('gcc', [`-print-file-name=${sanitizer.library}`], { encoding: 'utf8' }).stdout?.trim()
  // Without the library gcc repeats the name.
  if (!library?.startsWith('/')) {
    console.log(`skipped: ${sanitizer.library} is not installed (it comes with gcc: "apt-get install gcc")`)
    return
  }
  const folder = join(root, `build-${name}`)
  const reports = join(folder, 'reports')
  build(folder, name, sanitizer.symbol)
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })
  const options = [...sanitizer.options, `log_path=${reports}/report`]
  const environment = {
    ...process.env,
    HANDOVER_PREBUILD: folder,
    ADDON: join(folder, 'build/Release/handover.node'),
    LD_PRELOAD: library,
    [sanitizer.variable]: options.join(':'),
    HANDOVER_TEST_TIMEOUT_SCALE: process.env.HANDOVER_TEST_TIMEOUT_SCALE ?? '5',
  }
  requireRuntime(environment, sanitizer.library)
  const status = run([join(root, 'scripts/test.js'), ...(names.length > 0 ? names : testsOf(sanitizer))], environment)
  const found = readdirSync(reports).sort()
  for (const report of found) {
    const path = join(reports, report)
    console.log(`\n${relative(root, path)}\n${readFileSync(path, 'utf8')}`)
  }
  console.log(`${name}: ${found.length} reports`)
  process.exitCode = status !== 0 || found.length > 0 ? 1 : 0
}

function testsOf({ folders, notHere = [] }) {
  return folders
    .filter((folder) => existsSync(join(root, 'test', folder)))
    .flatMap((folder) => readdirSync(join(root, 'test', folder)).map((file) => `test/${folder}/${file}`))
    .filter((file) => file.endsWith('.test.ts') && ![...NOT_HERE, ...notHere].includes(file))
}

function build(folder, sanitizer, symbol) {
  mkdirSync(folder, { recursive: true })
  cpSync(join(root, 'binding.gyp'), join(folder, 'binding.gyp'), { preserveTimestamps: true })
  cpSync(join(root, 'native'), join(folder, 'native'), { recursive: true, preserveTimestamps: true })
  const prefix = join(process.execPath, '../..')
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
  const script = join(root, 'node_modules/node-gyp/bin/node-gyp.js')
  // In two steps: what follows "--" goes to gyp in the first and would go to make in the second.
  for (const step of [['configure', ...headers, '--', `-Dsanitize=${sanitizer}`], ['build']]) {
    const words = [script, '-C', folder, ...step]
    const result = spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 })
    if (result.status !== 0) fail(`the addon could not be built\n${result.stdout}${result.stderr}`)
  }
  // A build that lost its flag would pass every test.
  const symbols = spawnSync('nm', ['-D', join(folder, 'build/Release/handover.node')], { encoding: 'utf8' }).stdout
  if (!symbols.includes(symbol)) fail(`the addon in ${folder} does not call ${symbol}: it was built without sanitizer`)
}

/** The runtime is there, and the addon that loads is the one that was built. */
function requireRuntime(env, library) {
  const program = `
    require('node-gyp-build')(${JSON.stringify(root)})
    console.log(require('fs').readFileSync('/proc/self/maps', 'utf8'))`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { cwd: root, env, encoding: 'utf8' })
  for (const part of [library, env.ADDON]) if (!stdout.includes(part)) fail(`${part} is not loaded\n${stderr}`)
}

function run(args, env) {
  return spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status
}

function fail(what) {
  console.error(`sanitize: ${what}`)
  process.exit(2)
}
