#!/usr/bin/env node
/**
 * The `handover` command. The only place that prints and exits. What a verb alone needs is loaded when it is that verb: modules
 * take most of a short command's time.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { EXIT, HandoverError, messageOf } from '../errors.js'
import { DEFAULT_NAME } from '../supervisor/directory.js'
import type { SupervisorStatus, UpgradeResult } from '../supervisor/index.js'
import type { POLICIES, UNSETTLED } from '../supervisor/options.js'
import { AnsweredError, request } from './client.js'
import { parseWorker } from './count.js'
import { formatMs, parseDuration } from './duration.js'
import { formatFindings, formatNodes, formatReplaced, formatResult, formatStatus, type Replaced } from './format.js'
import { type ProgramFlags, programOptions } from './program.js'
import type { RunFlags } from './run.js'
import {
  envFile,
  givenRunOptions,
  policy,
  probation,
  ready,
  runOptions,
  settle,
  stopSignal,
  unsettled,
  workers,
} from './run-options.js'
import type { UnitFlags } from './unit.js'

interface Flags {
  readonly name: string
  readonly json?: boolean
}

interface UpgradeFlags extends Flags, ProgramFlags {
  readonly supervisor?: boolean
  readonly node?: string
  readonly policy?: (typeof POLICIES)[number]
  readonly unsettled?: (typeof UNSETTLED)[number]
  readonly workers?: number
  readonly worker?: number
  readonly probation?: string
}

interface NodeFlags {
  readonly node?: string
  readonly offline?: boolean
  readonly json?: boolean
}

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const EXIT_CODES = `
Exit status:
  ${EXIT.ok}  done; for upgrade: committed
  ${EXIT.failed}  failed for another reason; the message says which
  ${EXIT.usage}  the command line is not understood
  ${EXIT.refused}  the upgrade was refused by check or vote; the predecessor serves on
  ${EXIT.aborted}  the upgrade failed before commit; the predecessor serves on
  ${EXIT.unreachable}  no supervisor of this name answers
  ${EXIT.busy}  an upgrade before its commit, or a stop, is in progress
  ${EXIT.crashed}  the runtime crashed too often and the supervisor gave up
  ${EXIT.undone}  the upgrade was undone on its probation; the release before serves again
  ${EXIT.unhealthy}  the upgrade failed its probation, and could not be undone`

let exitCode: number = EXIT.ok

const program = new Command('handover')
  .description('Replaces a running server, with its live connections.')
  .version(version)
  .enablePositionalOptions()
  .showHelpAfterError('(handover --help shows what there is)')
  .addHelpText('after', EXIT_CODES)
  .exitOverride()

const named = (verb: string) =>
  program
    .command(verb)
    .option('--name <name>', 'which supervisor', DEFAULT_NAME)
    .option('--json', 'JSON instead of text')
    .exitOverride()

runOptions(named('run'))
  .description('run a server under a supervisor, in the foreground; SIGHUP upgrades it, SIGTERM stops it')
  .argument('<command...>', 'what to run, behind --')
  .option('--user <user[:group]>', 'whose processes the server is; the supervisor stays root, and binds the sockets')
  .action(async (command: string[], flags: RunFlags) => {
    const { run } = await import('./run.js')
    exitCode = await run(command, { ...flags, ...(await nodeOf(flags)) }, version)
  })

runOptions(named('unit'))
  .description("print the unit files of systemd for a server, made of the options that 'run' is to have")
  .argument('<command...>', 'what to run, behind --')
  .option('--install', 'write them to /etc/systemd/system instead, and have systemd read them')
  .option(
    '--socket <name=address>',
    'a socket unit too: a port, HOST:PORT or a path that systemd listens on; may be repeated',
    (value: string, before: readonly string[]) => [...before, value],
    [],
  )
  .option('--user <user>', 'whose service it is')
  .option('--group <group>', 'of that group')
  .option('--dynamic-user', 'of a user that exists while it runs')
  .option(
    '--watchdog <duration>',
    'how long a loop may stand still before systemd starts the service anew; 0s: never',
    '30s',
  )
  .option(
    '--writable <folder>',
    'a folder the server writes to; may be repeated',
    (value: string, before: readonly string[]) => [...before, value],
    [],
  )
  .action(async (command: string[], flags: UnitFlags, self: Command) => {
    // A service may have no home, and no network: what a version means is looked up now.
    const { node } = await nodeOf(flags)
    if (node !== undefined) self.setOptionValueWithSource('node', node, 'cli')
    const { unit } = await import('./unit.js')
    process.stdout.write(unit(command, flags, givenRunOptions(self)))
  })

named('upgrade')
  .description('start the release as it is on disk now (or COMMAND) and move everything into it; waits for the end')
  .argument('[command...]', 'what to run from now on, behind --')
  .option('--node <which>', 'Node to run it with from now on: a path, a version, or a file that names one')
  .option('--supervisor', 'the supervisor itself, in place: to the handover that is called, and to the Node of --node')
  .addOption(workers())
  .option('--worker <n>', 'this one alone, counted from 0; the others stay, until the next upgrade of all', parseWorker)
  .addOption(policy())
  .addOption(unsettled())
  .addOption(ready())
  .addOption(settle())
  .addOption(stopSignal())
  .addOption(envFile())
  .addOption(probation())
  .action(async (command: string[], flags: UpgradeFlags, self: Command) => {
    if (flags.supervisor === true) {
      const alone = ['supervisor', 'node', 'name', 'json']
      const other = self.options.find((option) => {
        const name = option.attributeName()
        return !alone.includes(name) && self.getOptionValueSource(name) === 'cli'
      })
      if (other !== undefined || command.length > 0)
        throw new HandoverError(
          'HANDOVER_USAGE',
          `--supervisor is not for ${other?.long ?? 'a command'}: the runtimes stay`,
        )
      const cli = realpathSync(process.argv[1] as string)
      const result = await request<Replaced>(flags.name, { verb: 'replace', cli, ...(await nodeOf(flags)) })
      print(flags, result, formatReplaced)
      return
    }
    const change = {
      ...(await nodeOf(flags)),
      ...programOptions(flags),
      ...(flags.policy === undefined ? {} : { policy: flags.policy }),
      ...(flags.unsettled === undefined ? {} : { unsettled: flags.unsettled }),
      ...(flags.workers === undefined ? {} : { workers: flags.workers }),
      ...(flags.worker === undefined ? {} : { worker: flags.worker }),
      ...(flags.probation === undefined ? {} : { probationMs: parseDuration(flags.probation) }),
      ...(command.length === 0 ? {} : { command, cwd: process.cwd() }),
    }
    const begun = performance.now()
    const result = await request<UpgradeResult>(flags.name, { verb: 'upgrade', ...change }, (event) => {
      if (!flags.json)
        process.stderr.write(`${formatMs(performance.now() - begun).padStart(10)}  ${String(event['phase'])}\n`)
    })
    print(flags, result, formatResult)
    exitCode = exitOf(result)
  })

named('status')
  .description('show generations, sessions, listeners and the last upgrade')
  .action(async (flags: Flags) =>
    print(flags, await request<SupervisorStatus>(flags.name, { verb: 'status' }), formatStatus),
  )

named('stop')
  .description('stop the server and its supervisor, in order')
  .action(async (flags: Flags) =>
    print(flags, await request<{ stopped: true }>(flags.name, { verb: 'stop' }), () => 'stopped'),
  )

named('doctor')
  .description('look whether this machine has what it takes, and say what to do where it has not')
  .action(async (flags: Flags) => {
    const { doctor } = await import('./doctor.js')
    const findings = await doctor(flags.name)
    print(flags, findings, formatFindings)
    if (findings.some(({ verdict }) => verdict === 'bad')) exitCode = EXIT.failed
  })

program
  .command('node')
  .description('show the Node versions of this machine, or the path of the one that --node would take')
  .argument('[which]', 'a version such as 24, v24.9.0 or lts/*, or a file such as .nvmrc; fetched when it is not there')
  .option('--offline', 'fetch nothing')
  .option('--json', 'JSON instead of text')
  .exitOverride()
  .action(async (which: string | undefined, flags: NodeFlags) => {
    const { listNodes } = await import('./nodes/index.js')
    if (which === undefined) print(flags, await listNodes(), formatNodes)
    else print(flags, await nodeOf({ ...flags, node: which }), ({ node }) => node ?? '')
  })

async function nodeOf({ node, offline, json }: NodeFlags): Promise<{ node?: string }> {
  if (node === undefined) return {}
  const say = (version: string) => {
    if (!json) process.stderr.write(`handover: Node ${version} is not on this machine; npm fetches it\n`)
  }
  const { findNode } = await import('./nodes/index.js')
  return { node: await findNode(node, offline === true ? false : say) }
}

function exitOf({ outcome, probation: trial }: UpgradeResult): number {
  if (trial?.verdict === 'undone') return EXIT.undone
  if (trial?.verdict === 'unhealthy') return EXIT.unhealthy
  return { committed: EXIT.ok, refused: EXIT.refused, failed: EXIT.aborted }[outcome]
}

function print<R>(flags: { readonly json?: boolean }, result: R, format: (result: R) => string): void {
  process.stdout.write(`${flags.json ? JSON.stringify(result) : format(result)}\n`)
}

function fail(error: unknown): number {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const known = error instanceof HandoverError || error instanceof AnsweredError
  if (process.argv.includes('--json')) {
    process.stdout.write(
      `${JSON.stringify({ error: { code: known ? error.code : 'HANDOVER_ABORTED', message: messageOf(error) } })}\n`,
    )
  } else {
    process.stderr.write(`handover: ${known ? error.message : String((error as Error).stack ?? error)}\n`)
  }
  return known ? error.exitCode : EXIT.failed
}

// A reader that has gone (`handover status | head -1`) is not this command's failure.
process.stdout.on('error', () => undefined)

try {
  await program.parseAsync()
} catch (error) {
  exitCode = fail(error)
}
// Not process.exit(): what was written to a pipe may still be on its way.
process.exitCode = exitCode
