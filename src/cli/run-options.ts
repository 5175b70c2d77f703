/** The options of `handover run`: those of a unit file, too, and some of `upgrade`. */
import { type Command, Option } from 'commander'
import { POLICIES, UNSETTLED } from '../supervisor/options.js'
import { parseCount, parseCrashes } from './count.js'

export const policy = () =>
  new Option(
    '--policy <policy>',
    'what one session that cannot move does: refuses the upgrade, or stays behind',
  ).choices(POLICIES)
export const unsettled = () =>
  new Option('--unsettled <what>', 'what follows when the copy does not settle in its time').choices(UNSETTLED)

export const ready = () =>
  new Option(
    '--ready <when>',
    'a program is ready when it joins or says READY=1 (auto), when it says it (notify), when it lives (alive), or when it answers at tcp://HOST:PORT or http://HOST:PORT/PATH',
  )
export const settle = () => new Option('--settle <duration>', 'how long a program must live after that to be believed')
export const stopSignal = () => new Option('--stop-signal <signal>', 'what ends the server in order')
export const workers = () =>
  new Option('--workers <n>', 'how many processes serve side by side, on the same listening sockets').argParser(
    parseCount,
  )

export const envFile = () =>
  new Option('--env-file <file>', 'NAME=VALUE lines for the environment, read at each start; may be repeated')
    .argParser((value: string, before: readonly string[]) => [...before, value])
    .default([], 'none')

export const probation = () =>
  new Option(
    '--probation <duration>',
    'how long after its commit an upgrade is undone when the new release is unhealthy or crashes; 30s with --health, else 0s: never',
  )

const runs = new WeakMap<Command, readonly Option[]>()

export function runOptions(command: Command): Command {
  const before = command.options.length
  command
    .option('--node <which>', 'Node to run it with: a path, a version, or a file that names one')
    .option(
      '--listen <name=[host:]port>',
      'a listening socket for every generation, joining or not (LISTEN_FDS); may be repeated',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .addOption(ready())
    .addOption(settle())
    .addOption(stopSignal())
    .addOption(envFile())
    .option('--health <url>', 'tcp://HOST:PORT or http://HOST:PORT/PATH, asked while an upgrade is on probation')
    .addOption(probation())
    .option('--max-crashes <n>', 'crashes in a row after which it gives up', parseCrashes, 5)
    .addOption(workers().default(1))
    .option('--ready-timeout <duration>', 'how long a runtime may take until it is ready', '30s')
    .option('--drain <duration>', 'how long what cannot move is served after an upgrade', '30s')
    .option('--check <duration>', 'how long a successor may take to answer an offer, while clients are served', '10s')
    .option('--freeze <duration>', 'how long clients may wait before a transfer is given up', '5s')
    .option('--copy <duration>', 'how long sessions are copied while they are served, before --unsettled', '20s')
    .addOption(policy().default(POLICIES[0]))
    .addOption(unsettled().default(UNSETTLED[0]))
    .addOption(
      new Option('--keep <what>', "what systemd's store of descriptors keeps over a restart of the supervisor").choices(
        ['listeners', 'sessions'],
      ),
    )
    .option('--memory-limit <size>', 'memory all runtimes may have together in an upgrade, such as 1G or 512M')
  runs.set(command, command.options.slice(before))
  return command
}

/** Those that were given, as they were. */
export function givenRunOptions(command: Command): string[] {
  const given = (runs.get(command) ?? []).filter(
    (option) => command.getOptionValueSource(option.attributeName()) === 'cli',
  )
  return given.flatMap((option) => {
    const value: unknown = command.getOptionValue(option.attributeName())
    const values = Array.isArray(value) ? value : [value]
    return values.flatMap((each) => (each === true ? [option.long ?? ''] : [option.long ?? '', String(each)]))
  })
}
