/** A release: what to run. */
import { realpathSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, resolve } from 'node:path'
import { HandoverError } from '../errors.js'
import { releaseEnvironment } from './environment.js'
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
  /** Files of `NAME=VALUE` lines whose content goes over the supervisor's environment. Read at each start. */
  readonly environmentFiles?: readonly string[]
  /**
   * `USER` or `USER:GROUP` its processes are of. Needs root. The same in every release: of another user, neither side of an
   * upgrade could end the other. Default: the supervisor's own.
   */
  readonly user?: string
}

/** A listening socket it is started with. */
export interface PassedListener {
  readonly name: string
  /** Stays the giver's. */
  readonly descriptor: number
}

const MAX_FILES = 32
const MAX_SETTLE_MS = 60 * 60 * 1000
/** Drops what it serves, or ends nothing. */
const NO_STOP: readonly string[] = ['SIGKILL', 'SIGSTOP', 'SIGCONT', 'SIGCHLD']

/** @throws HandoverError HANDOVER_USAGE */
export function checkRelease(release: Release): void {
  const { command, node, ready, settleMs, stopSignal, environmentFiles = [] } = release
  if (command.length === 0 || command[0] === '')
    throw new HandoverError('HANDOVER_USAGE', 'there is no command to run: put it behind "--"')
  if (node !== undefined && !isNode(command)) {
    throw new HandoverError('HANDOVER_USAGE', `--node ${node} replaces "node", but the command is "${command[0]}"`)
  }
  if (ready !== undefined) probeTarget(ready)
  if (environmentFiles.length > MAX_FILES)
    throw new HandoverError(
      'HANDOVER_USAGE',
      `--env-file is given ${environmentFiles.length} times, the limit is ${MAX_FILES}`,
    )
  releaseEnvironment(release)
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
 * `--settle`, `--stop-signal` and `--env-file`.
 */
export function nextRelease(current: Release, change: Partial<Release>): Release {
  const command = change.command ?? current.command
  const node = change.node ?? (isNode(command) ? current.node : undefined)
  const { ready = current.ready, settleMs = current.settleMs, stopSignal = current.stopSignal } = change
  const { environmentFiles = current.environmentFiles, user = current.user } = change
  if (user !== current.user)
    throw new HandoverError(
      'HANDOVER_USAGE',
      `an upgrade keeps the user (${current.user ?? "the supervisor's own"}), it cannot go to ${user}`,
    )
  const next = {
    command,
    cwd: change.cwd ?? current.cwd,
    ...(node === undefined ? {} : { node }),
    ...(ready === undefined ? {} : { ready }),
    ...(settleMs === undefined ? {} : { settleMs }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(environmentFiles === undefined ? {} : { environmentFiles }),
    ...(user === undefined ? {} : { user }),
  }
  checkRelease(next)
  return next
}

/**
 * The same release by the real paths of its folder and its script: what it is started from again after a crash, and gone back to,
 * though a link such as `current` leads elsewhere by then. What the script is given is its own affair.
 */
function pinRelease(release: Release): Release {
  const { command } = release
  const cwd = realOf(release.cwd)
  const at = isNode(command) ? scriptAt(command) : -1
  const pinned = command.map((word, index) => {
    const path = resolve(cwd, word)
    const real = index === at ? realOf(path) : path
    return real === path ? word : real
  })
  return { ...release, cwd, command: pinned }
}

/** Options of Node whose value is a word of its own (node(1)). */
const WITH_VALUE =
  /^(-r|--require|--import|--loader|--experimental-loader|-C|--conditions|--env-file|--env-file-if-exists|--title)$/

/** Where the script is in a command of Node; -1 when there is none that can be seen. */
function scriptAt(command: readonly string[]): number {
  for (let at = 1; at < command.length; at++) {
    const word = command[at] ?? ''
    if (WITH_VALUE.test(word)) at++
    else if (!word.startsWith('-')) return at
    else if (/^(-e|-p|-pe|--eval|--print|--test|-)$/.test(word)) return -1
  }
  return -1
}

/** What is run. */
export interface Target {
  /** As it was asked for: what an upgrade goes on from. */
  readonly release: Release
  /** By its real paths: what is started, and started again. */
  readonly running: Release
}

export const targetOf = (release: Release): Target => ({ release, running: pinRelease(release) })

function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** For people: the command as typed. */
export function describeRelease(release: Release): string {
  const { program, args } = programOf(release)
  return [program, ...args].join(' ')
}

function isNode(command: readonly string[]): boolean {
  return /^node(\.exe)?$/.test(basename(command[0] ?? ''))
}
