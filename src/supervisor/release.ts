/** A release: what to run. */
import { basename } from 'node:path'
import { HandoverError } from '../errors.js'

export interface Release {
  /** Program and arguments. `node` (or a path to it) as the program is replaced by `node` below, when given. */
  readonly command: readonly string[]
  readonly cwd: string
  /** Path of the Node binary to run it with. Default: the one the command names. */
  readonly node?: string
}

/** @throws HandoverError HANDOVER_USAGE */
export function checkRelease(release: Release): void {
  const { command, node } = release
  if (command.length === 0 || command[0] === '')
    throw new HandoverError('HANDOVER_USAGE', 'there is no command to run: put it behind "--"')
  if (node !== undefined && !isNode(command)) {
    throw new HandoverError('HANDOVER_USAGE', `--node ${node} replaces "node", but the command is "${command[0]}"`)
  }
}

/** Program and arguments as they are spawned. */
export function programOf({ command, node }: Release): { program: string; args: string[] } {
  const [program = '', ...args] = command
  return { program: node !== undefined && isNode(command) ? node : program, args }
}

/**
 * The release an upgrade goes to: what it names, and for the rest what runs now. The files are as they are on disk then.
 * The Node binary of a former `--node` stays in force until another is named, also with a new command.
 */
export function nextRelease(current: Release, change: Partial<Release>): Release {
  const command = change.command ?? current.command
  const node = change.node ?? (isNode(command) ? current.node : undefined)
  const next = { command, cwd: change.cwd ?? current.cwd, ...(node === undefined ? {} : { node }) }
  checkRelease(next)
  return next
}

/** For people: the command as typed. */
export function describeRelease(release: Release): string {
  const { program, args } = programOf(release)
  return [program, ...args].join(' ')
}

function isNode(command: readonly string[]): boolean {
  return /^node(\.exe)?$/.test(basename(command[0] ?? ''))
}

const SCRUBBED = [
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'NOTIFY_SOCKET',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
]

/** The environment of a runtime: the supervisor's own protocols are not its children's, nor is a debugger's port. */
export function runtimeEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const result = { ...environment }
  for (const name of SCRUBBED) delete result[name]
  const options = result['NODE_OPTIONS']
    ?.split(/\s+/)
    .filter((option) => option !== '' && !/^--inspect/.test(option))
    .join(' ')
  if (options) result['NODE_OPTIONS'] = options
  else delete result['NODE_OPTIONS']
  return result
}
