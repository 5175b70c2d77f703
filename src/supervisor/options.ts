/** Options of a supervisor, with their defaults. */
import { HandoverError } from '../errors.js'
import type { Logger } from '../logger.js'
import type { Release } from './release.js'
import type { UpgradePhase } from './upgrade.js'

export const POLICIES = ['all-or-nothing', 'best-effort'] as const
export const UNSETTLED = ['freeze', 'refuse'] as const

export interface SupervisorOptions {
  /** What to run first. */
  readonly release: Release
  /** How many processes serve side by side, on the same listening sockets. 1 to 256. Default 1. */
  readonly workers?: number
  /** How long a runtime may take from its start to `ready()`. Default 30,000 ms. */
  readonly readyTimeoutMs?: number
  /** How long a predecessor may serve what could not move, and a runtime may take to stop. Default 30,000 ms. */
  readonly drainMs?: number
  /** How long the clients may have to wait in a freeze before it is given up. Default 5,000 ms. */
  readonly freezeMs?: number
  /** How long the successor may take to answer an offer, before anything has moved. Default 10,000 ms. */
  readonly checkMs?: number
  /** One session that cannot move refuses the upgrade, or stays behind and is drained. Default 'all-or-nothing'. */
  readonly policy?: (typeof POLICIES)[number]
  /** How long sessions are copied while they are served, before the freeze comes whatever is still changing. Default 20,000 ms. */
  readonly copyMs?: number
  /** What is done when too much still changes after `copyMs`: freeze all the same, or refuse. Default 'freeze'. */
  readonly unsettled?: (typeof UNSETTLED)[number]
  /** Memory all runtimes may have together, in bytes. Default none: the limits of the control group and the machine hold. */
  readonly memoryLimitBytes?: number
  /** Crashes in a row, each within a minute of the last, after which it gives up. Default 5. */
  readonly maxCrashes?: number
  readonly logger?: Logger
}

/** What may be otherwise for one upgrade. */
export interface UpgradeOptions extends Pick<SupervisorOptions, 'policy' | 'unsettled' | 'workers'> {
  /** Where this upgrade stands. */
  readonly onPhase?: (phase: { readonly id: number; readonly phase: UpgradePhase }) => void
}

export type Settings = Required<Omit<SupervisorOptions, 'logger'>> & { readonly logger: Logger }

/** After the drain a process has this long to exit by itself after SIGTERM. */
export const EXIT_GRACE_MS = 5_000

const ignore = () => undefined
const silent: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** Each is a process of its own. */
export const MAX_WORKERS = 256
/** Longest duration: those that are added up still fit a timer. */
const MAX_MS = 24 * 60 * 60 * 1000

/**
 * These travel to the runtimes, and one that gets a message it cannot read ends its channel: it would be the one that serves.
 * @throws HandoverError HANDOVER_USAGE
 */
export function checkSettings(options: Partial<SupervisorOptions>): void {
  const refuse = (name: string, value: unknown, expected: string): never => {
    throw new HandoverError('HANDOVER_USAGE', `option ${name} must be ${expected}, not ${String(value)}`)
  }
  for (const name of ['readyTimeoutMs', 'drainMs', 'freezeMs', 'checkMs', 'copyMs'] as const) {
    const value = options[name]
    if (value !== undefined && !(value >= 0 && value <= MAX_MS)) refuse(name, value, '0 to 86,400,000 milliseconds')
  }
  const { policy, unsettled, memoryLimitBytes, workers } = options
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS))
    refuse('workers', workers, `1 to ${MAX_WORKERS}`)
  if (policy !== undefined && !POLICIES.includes(policy)) refuse('policy', policy, POLICIES.join(' or '))
  if (unsettled !== undefined && !UNSETTLED.includes(unsettled)) refuse('unsettled', unsettled, UNSETTLED.join(' or '))
  if (memoryLimitBytes !== undefined && !(memoryLimitBytes > 0))
    refuse('memoryLimitBytes', memoryLimitBytes, 'a number of bytes')
}

/** @throws HandoverError HANDOVER_USAGE */
export function settingsOf(options: SupervisorOptions): Settings {
  checkSettings(options)
  return {
    release: options.release,
    workers: options.workers ?? 1,
    readyTimeoutMs: options.readyTimeoutMs ?? 30_000,
    drainMs: options.drainMs ?? 30_000,
    freezeMs: options.freezeMs ?? 5_000,
    checkMs: options.checkMs ?? 10_000,
    policy: options.policy ?? 'all-or-nothing',
    copyMs: options.copyMs ?? 20_000,
    unsettled: options.unsettled ?? 'freeze',
    memoryLimitBytes: options.memoryLimitBytes ?? Number.POSITIVE_INFINITY,
    maxCrashes: options.maxCrashes ?? 5,
    logger: options.logger ?? silent,
  }
}
