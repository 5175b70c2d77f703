/** A release: what to run. */
import { constants } from 'node:os'
import { basename } from 'node:path'
import { HandoverError } from '../errors.js'
import { probeTarget, type ReadyWhen } from './readiness.js'

export interface Release {
  /** Program and arguments. `node` (or a path to it) as the program is replaced by `node` below, when given. */
  readonly command: readonly string[]
  readonly cwd: string
  /** Path of the Node binary to run it with. Default: the one the command names. */
  readonly node?: string
  /** When a program is ready that does not join. Default 'auto': it joins, or says READY=1 on NOTIFY_SOCKET. */
  readonly ready?: ReadyWhen
  /** How long it must live after that before it is taken at its word. Default 0; with `ready: 'alive'` 1,000 ms. */
  readonly settleMs?: number
  /** What ends it in order. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals
}

/** A listening socket it is started with. */
export interface PassedListener {
  readonly name: string
  /** Stays the giver's. */
  readonly descriptor: number
}

const MAX_SETTLE_MS = 60 * 60 * 1000
/** Drops what it serves, or ends nothing. */
const NO_STOP: readonly string[] = ['SIGKILL', 'SIGSTOP', 'SIGCONT', 'SIGCHLD']

/** @throws HandoverError HANDOVER_USAGE */
export function checkRelease(release: Release): void {
  const { command, node, ready, settleMs, stopSignal } = release
  if (command.length === 0 || command[0] === '')
    throw new HandoverError('HANDOVER_USAGE', 'there is no command to run: put it behind "--"')
  if (node !== undefined && !isNode(command)) {
    throw new HandoverError('HANDOVER_USAGE', `--node ${node} replaces "node", but the command is "${command[0]}"`)
  }
  if (ready !== undefined) probeTarget(ready)
  if (settleMs !== undefined && !(settleMs >= 0 && settleMs <= MAX_SETTLE_MS))
    throw new HandoverError('HANDOVER_USAGE', `--settle must be 0 to ${MAX_SETTLE_MS} ms, not ${settleMs} ms`)
  if (stopSignal !== undefined && (!Object.hasOwn(constants.signals, stopSignal) || NO_STOP.includes(stopSignal)))
    throw new HandoverError(
      'HANDOVER_USAGE',
      `--stop-signal must be a signal that a program can handle, such as SIGTERM or SIGQUIT, not ${stopSignal}`,
    )
}

/** Program and arguments as they are spawned. */
export function programOf({ command, node }: Release): { program: string; args: string[] } {
  const [program = '', ...args] = command
  return { program: node !== undefined && isNode(command) ? node : program, args }
}

/**
 * The release an upgrade goes to: what it names, and for the rest what runs now. The files are as they are on disk then.
 * The Node binary of a former `--node` stays in force until another is named, also with a new command; so do `--ready`,
 * `--settle` and `--stop-signal`.
 */
export function nextRelease(current: Release, change: Partial<Release>): Release {
  const command = change.command ?? current.command
  const node = change.node ?? (isNode(command) ? current.node : undefined)
  const { ready = current.ready, settleMs = current.settleMs, stopSignal = current.stopSignal } = change
  const next = {
    command,
    cwd: change.cwd ?? current.cwd,
    ...(node === undefined ? {} : { node }),
    ...(ready === undefined ? {} : { ready }),
    ...(settleMs === undefined ? {} : { settleMs }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
  }
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
  'LISTEN_PIDFDID',
  'HANDOVER_CHANNEL',
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

/** The first descriptor after the standard streams: SD_LISTEN_FDS_START. */
const FIRST_PASSED = 3

/**
 * The environment of a program as it is started: what sd_listen_fds(3) and sd_notify(3) want, and where its channel is, behind
 * the listeners. LISTEN_PID only the child knows.
 */
export function programEnvironment(
  environment: NodeJS.ProcessEnv,
  given: {
    readonly listeners: readonly PassedListener[]
    readonly notifySocket: string | undefined
    readonly hasChannel: boolean
  },
): NodeJS.ProcessEnv {
  const { listeners, notifySocket, hasChannel } = given
  const names = listeners.map(({ name }) => name).join(':')
  return {
    ...runtimeEnvironment(environment),
    ...(listeners.length === 0 ? {} : { LISTEN_FDS: String(listeners.length), LISTEN_FDNAMES: names }),
    ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket }),
    ...(hasChannel ? { HANDOVER_CHANNEL: String(FIRST_PASSED + listeners.length) } : {}),
  }
}
