// Fuzzes what reads from the other side, for a bounded time: the native receive path by coverage (libFuzzer, with ASan and
// UBSan), then the TypeScript decoders by their properties.
//
//   node scripts/fuzz.js                   60 seconds of the native target
//   node scripts/fuzz.js --seconds 600
//
// Inputs that reached something new are kept in build-fuzz/corpus and used again; one that fails is printed with its path,
// and `build-fuzz/message PATH` runs it alone.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'build-fuzz')
const target = join(folder, 'message')
const DECODERS = 'test/wire/fuzz.test.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } })
process.exitCode = fuzzNative(Number(values.seconds)) && fuzzDecoders() ? 0 : 1

function fuzzNative(seconds) {
  mkdirSync(join(folder, 'corpus'), { recursive: true })
  const sources = [join(root, 'test/fuzz/message.cc'), join(root, 'native/posix_message.cc')]
  const flags = ['-std=c++17', '-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all']
  const compiled = spawnSync('clang++', [...flags, '-o', target, ...sources], { encoding: 'utf8' })
  if (compiled.error !== undefined || /cannot find .*clang_rt/.test(compiled.stderr)) {
    console.log('skipped: native: clang or libFuzzer is missing ("apt-get install clang libclang-rt-14-dev")')
    return true
  }
  if (compiled.status !== 0) {
    console.log(compiled.stderr)
    return false
  }
  const limits = ['-max_len=400', '-rss_limit_mb=512', '-malloc_limit_mb=64', '-timeout=5', '-use_value_profile=1']
  const artifacts = `-artifact_prefix=${folder}/`
  const words = [...limits, artifacts, `-max_total_time=${seconds}`, '-print_final_stats=1', join(folder, 'corpus')]
  const { status, stderr } = spawnSync(target, words, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) console.log(stderr.slice(-8_000))
  const coverage = stderr.match(/cov: \d+ ft: \d+ corp: \d+/g)?.at(-1)
  console.log(`native: ${/number_of_executed_units: (\d+)/.exec(stderr)?.[1]} executions in ${seconds} s, ${coverage}`)
  return status === 0
}

function fuzzDecoders() {
  if (!existsSync(join(root, DECODERS))) return true
  return spawnSync(process.execPath, [join(root, 'scripts/test.js'), DECODERS], { stdio: 'inherit' }).status === 0
}
