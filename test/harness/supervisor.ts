/** A supervisor as its users start it: through the command line, in a runtime directory of its own. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UpgradeResult } from '../../src/supervisor/result.js'
import { type ProcessFact, pathsUnder, processesMarked } from './census.js'
import { type Child, compiled, type Exit, startChild, startNode, type Teardown } from './child.js'
import { scaled, until, within } from './timeout.js'

const CLI = 'src/cli/main.js'

export interface CommandResult<Json> {
  readonly exitCode: number | null
  /** The last line of stdout, parsed; undefined when it is no JSON. */
  readonly json: Json | undefined
  readonly lines: readonly string[]
}

export interface SupervisorOptions {
  readonly name?: string
  /** Options of `handover run`, before the `--`. */
  readonly options?: readonly string[]
  /** What runs: a program and its arguments. */
  readonly command: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** The Node that runs the supervisor itself. */
  readonly node?: string
  /** In the place of this one, which has ended: of the same name, with the same environment. */
  readonly after?: TestSupervisor
}

export interface TestSupervisor {
  readonly child: Child
  readonly name: string
  /** XDG_RUNTIME_DIR of everything started here. */
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
  /** `handover upgrade --json ARGS`, to its end. */
  upgrade(...args: string[]): Promise<CommandResult<UpgradeResult>>
  status(): Promise<CommandResult<Record<string, unknown>>>
  /** `handover stop --json`, then waits for the supervisor's own end. */
  stop(): Promise<CommandResult<unknown> & { readonly exit: Exit }>
  /** Any command of the CLI in this environment; not waited for. */
  start(verb: string, ...args: string[]): Child
  /** The same, of another file of the command line. */
  startCli(file: string, verb: string, ...args: string[]): Child
  /** The supervisor and everything it ever started that is still there. */
  processes(): ProcessFact[]
  paths(): string[]
}

/** What a fixture says once it serves: see `announce` in test/fixtures/announce.ts. */
export const READY = /^ready release=(\S+) generation=(\d+) pid=(\d+) port=(\d+)/

export function startSupervisor(t: Teardown, options: SupervisorOptions): TestSupervisor {
  const { after } = options
  const name = after?.name ?? options.name ?? 'test'
  const directory = after?.directory ?? mkdtempSync(join(tmpdir(), 'handover-test-'))
  const mark = randomUUID()
  const env = after?.env ?? { ...options.env, XDG_RUNTIME_DIR: directory, HANDOVER_TEST_MARK: mark }
  const processes = (): ProcessFact[] => processesMarked(`HANDOVER_TEST_MARK=${env['HANDOVER_TEST_MARK']}`)
  if (after === undefined)
    t.teardown(async () => {
      for (const { pid } of processes()) kill(pid)
      await until(() => processes().every(({ state }) => state === 'Z'), 'the end of all that the supervisor started')
      rmSync(directory, { recursive: true, force: true })
    })
  const node = options.node ?? process.execPath
  const args = ['run', '--name', name, '--json', ...(options.options ?? []), '--', ...options.command]
  const child = startChild(t, node, [compiled(CLI), ...args], { env })

  const start = (verb: string, ...rest: string[]): Child =>
    startNode(t, CLI, [verb, '--name', name, '--json', ...rest], { env })

  const startCli = (file: string, verb: string, ...rest: string[]): Child =>
    startChild(t, process.execPath, [file, verb, '--name', name, '--json', ...rest], { env })

  async function run<Json>(verb: string, ...rest: string[]): Promise<CommandResult<Json>> {
    const command = start(verb, ...rest)
    const { code } = await within(command.closed, `the end of handover ${verb}`, scaled(90_000))
    return { exitCode: code, json: lastJson<Json>(command.lines), lines: command.lines }
  }

  return {
    child,
    name,
    directory,
    env,
    upgrade: (...rest) => run<UpgradeResult>('upgrade', ...rest),
    status: () => run('status'),
    stop: async () => {
      const result = await run('stop')
      return { ...result, exit: await child.exited }
    },
    start,
    startCli,
    processes,
    // The socket on which a process is found has its number in its name.
    paths: () =>
      pathsUnder(directory)
        .map((path) => path.replace(/[^/]+\.join$/, 'N.join'))
        .sort(),
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone by itself in between.
  }
}

function lastJson<Json>(lines: readonly string[]): Json | undefined {
  for (const line of lines.toReversed()) {
    if (line.startsWith('{')) return JSON.parse(line) as Json
  }
  return undefined
}
