/** Runs spin: the model with a table becomes a verifier in C, compiled and run in a folder of its own. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Teardown } from '../harness/child.js'
import { scaled } from '../harness/timeout.js'
import { FOLLOWS, phasesPml, type Table, TRANSFERRING, type Vocabulary } from './promela.js'

const MODELS = fileURLToPath(new URL('../../../src/transfer/', import.meta.url))
const MEMORY_MIB = 6_000
const MAX_DEPTH = 100_000

/** Why the model cannot be checked here, or false. */
export const skip = ((): string | false => {
  for (const [tool, option] of [
    ['spin', '-V'],
    ['gcc', '--version'],
  ] as const) {
    if (spawnSync(tool, [option]).error !== undefined) return `${tool} is not installed ("apt-get install ${tool}")`
  }
  return false
})()

export const modelSource = ({ model }: Vocabulary = TRANSFERRING): string => readFileSync(`${MODELS}${model}`, 'utf8')

export interface World {
  readonly faults: number
  readonly sessions: 1 | 2
  readonly bytes: number
}

export interface FollowingWorld {
  readonly faults: number
  readonly batches: number
}

export interface Verdict {
  /** What spin found, or undefined when it has seen all states and nothing is wrong. */
  readonly error: string | undefined
  /** The steps that lead there: one line each. */
  readonly trail: string
  readonly states: number
  readonly seconds: number
  /** Lines of phases.pml, from 1, that no run ever came to. */
  readonly unreached: ReadonlySet<number>
}

export interface Verifier {
  check(property: string): Verdict
}

export const verifierFor = (t: Teardown, table: Table, world: World, source?: string): Verifier =>
  verifierOf(t, TRANSFERRING, table, { ...world }, source)

export const followingVerifierFor = (t: Teardown, table: Table, world: FollowingWorld, source?: string): Verifier =>
  verifierOf(t, FOLLOWS, table, { ...world }, source)

function verifierOf(
  t: Teardown,
  vocabulary: Vocabulary,
  table: Table,
  world: Readonly<Record<string, number>>,
  source: string | undefined,
): Verifier {
  const { model } = vocabulary
  const folder = mkdtempSync(join(tmpdir(), 'handover-model-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'phases.pml'), phasesPml(table, vocabulary))
  writeFileSync(join(folder, model), source ?? modelSource(vocabulary))
  const size = Object.entries(world).map(([name, value]) => `-D${name.toUpperCase()}=${value}`)
  run(folder, 'spin', [...size, '-a', model])
  // A counterexample is found sooner than a compiler has optimized; to see every state takes longer.
  run(folder, 'gcc', [
    source === undefined ? '-O2' : '-O0',
    '-w',
    '-DCOLLAPSE',
    `-DMEMLIM=${MEMORY_MIB}`,
    '-o',
    'pan',
    'pan.c',
  ])
  return {
    check(property) {
      const began = performance.now()
      const output = run(folder, './pan', ['-a', `-m${MAX_DEPTH}`, '-N', property])
      const error = /^pan:1: (.*)$/m.exec(output)?.[1]
      const complete =
        /errors: \d+/.test(output) && !/max search depth too small|out of memory|memory limit|aborting/.test(output)
      return {
        error: error ?? (complete ? undefined : `spin did not see all states:\n${output}`),
        trail: error === undefined ? '' : trailOf(folder, model, size),
        states: Number(/^\s*(\d+) states, stored/m.exec(output)?.[1]),
        seconds: (performance.now() - began) / 1000,
        // spin takes the one file for the other, but only lines of phases.pml say `to = `.
        unreached: new Set(
          [...output.matchAll(/^\t\w+\.pml:(\d+), state \d+, "to = /gm)].map(([, line]) => Number(line)),
        ),
      }
    },
  }
}

/** The counterexample as what a reader asks: who says and hears what, which phases, kills and ends. */
function trailOf(folder: string, model: string, size: readonly string[]): string {
  if (!existsSync(join(folder, `${model}.trail`))) return ''
  const steps = run(folder, 'spin', [...size, '-t', '-p', model])
  return steps
    .split('\n')
    .filter((line) =>
      /inbox\[.*\][!?]|to = |ours = |killed\[|dead\[.*= 1|cut = 1|used\[.*=|reads = 1|batch = |left = |taken = |assert/.test(
        line,
      ),
    )
    .map((line) => line.replace(/^\s*\d+:\s+proc\s+\d+ \((\w+).*?\[(.*)\]$/, '$1: $2'))
    .join('\n')
}

function run(folder: string, command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: scaled(110_000),
    killSignal: constants.signals.SIGKILL,
    maxBuffer: 1 << 28,
  })
  if (result.error !== undefined || result.status !== 0) {
    const why = result.error?.message ?? result.signal ?? `exit code ${result.status}`
    throw new Error(`${command} ${args.join(' ')}: ${why}\n${said(result)}`)
  }
  return said(result)
}

/** Without the formulas, which spin repeats with every macro in them. */
function said({ stdout, stderr }: { stdout: string; stderr: string }): string {
  return `${stdout}${stderr}`.replace(/^ltl .*\n/gm, '')
}
