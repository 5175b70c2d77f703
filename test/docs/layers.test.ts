/** Who may import whom; and the sizes that keep files readable. */
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { sourceFiles, trackedFiles } from './source.js'

const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  logger: [],
  wire: ['errors'],
  sys: ['errors', 'wire'],
  transfer: ['errors', 'wire', 'sys'],
  runtime: ['errors', 'logger', 'wire', 'sys', 'transfer'],
  adapters: ['errors', 'logger', 'wire', 'sys', 'transfer', 'runtime'],
  index: ['errors', 'logger', 'wire', 'sys', 'transfer', 'runtime', 'adapters'],
  keeper: ['errors', 'wire', 'sys', 'transfer', 'runtime'],
  supervisor: ['errors', 'logger', 'wire', 'sys'],
  cli: ['errors', 'logger', 'supervisor'],
  testing: ['errors', 'wire', 'runtime'],
}

const layerOf = (path: string): string =>
  path
    .replace(/^src\//, '')
    .replace(/\.ts$/, '')
    .split('/')[0] as string

/** An adapter is one file, with a folder of its name for its parts. */
const adapterOf = (path: string): string => path.replace(/\.ts$/, '').split('/')[2] as string

const IMPORT = /(?:import|export)\s[^'"]*?from\s+'(\.[^']+)'|import\('(\.[^']+)'\)/g

t.test('every import goes where the layers allow', async (t) => {
  let seen = 0
  for (const { path, text } of sourceFiles('src')) {
    const layer = layerOf(path)
    t.ok(MAY_IMPORT[layer], `${path} lies in a known layer`)
    for (const [, from, dynamic] of text.matchAll(IMPORT)) {
      const imported = normalize(join(dirname(path), (from ?? dynamic) as string)).replace(/\.js$/, '.ts')
      const target = layerOf(imported)
      seen++
      if (target !== layer && !MAY_IMPORT[layer]?.includes(target)) t.fail(`${path} imports ${target}`)
      if (layer === 'adapters' && target === 'adapters' && adapterOf(path) !== adapterOf(imported))
        t.fail(`${path} imports another adapter`)
      if (layer === 'testing' && target === 'runtime' && !/\/(versions|types)\.js$/.test((from ?? dynamic) as string))
        t.fail(`${path} imports more of the runtime than its pure part`)
    }
  }
  t.ok(seen > 100, `${seen} imports were looked at`)
})

t.test('wire is pure: no sockets, clock or timers', async (t) => {
  for (const { path, text } of sourceFiles('src/wire')) {
    t.notMatch(text, /node:(net|fs|child_process|timers|perf_hooks)|setTimeout|Date\.now|hrtime|performance\./, path)
  }
})

t.test("Node's private fields are touched in one module only", async (t) => {
  for (const { path, text } of sourceFiles('src')) {
    if (path.startsWith('src/sys/node/')) continue
    t.notMatch(
      text,
      /\._handle\b|_readableState|_writableState|_getActiveRequests|process\.binding|\.connecting\s*=/,
      path,
    )
  }
})

t.test('only the CLI prints or exits, and only it and the runtime directory read the environment', async (t) => {
  for (const { path, text } of sourceFiles('src')) {
    // Both are programs.
    if (path.startsWith('src/cli/') || path === 'src/keeper/main.ts') continue
    t.notMatch(text, /console\.|process\.(stdout|stderr|exit\b|exitCode)/, path)
  }
})

t.test('native: POSIX files know nothing of Node-API, bindings make no system calls', async (t) => {
  for (const { path, text } of sourceFiles('native')) {
    if (path.includes('/posix_')) t.notMatch(text, /napi/i, path)
    else t.notMatch(text, /sys\/(socket|mman|syscall|wait|file)\.h|\bsyscall\(/, path)
  }
})

t.test('files are small', async (t) => {
  const lengths: number[] = []
  for (const folder of ['src', 'native', 'test', 'benchmarks', 'examples']) {
    for (const { path, text } of sourceFiles(folder)) {
      const lines = text.split('\n').length
      lengths.push(lines)
      t.ok(lines <= 400, `${path} has ${lines} lines, the limit is 400`)
    }
  }
  lengths.sort((a, b) => a - b)
  const median = lengths[lengths.length >> 1] as number
  t.ok(median <= 120, `the median file has ${median} lines`)
})

t.test('the top level holds what it should', async (t) => {
  const allowed =
    /^(src|native|test|benchmarks|examples|docs|scripts|\.ci)\/|^(package(-lock)?\.json|binding\.gyp|tsconfig\.json|biome\.json|\.clang-format|\.gitignore|\.npmrc|\.taprc|\.editorconfig|LICENSE|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md)$/
  for (const path of trackedFiles()) if (!allowed.test(path)) t.fail(`${path} does not belong at the top level`)
})
