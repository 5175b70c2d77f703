/** Options of a supervisor, with their defaults. */
import { HandoverError } from '../errors.js'
import type { Logger } from '../logger.js'
import { checkHealth, type HealthCheck } from './health.js'
import type { ListenerStore, SessionStore } from './kept.js'
import type { ListenerSpec } from './listeners.js'
import type { PassedListener, Release } from './release.js'
import type { UpgradePhase } from './upgrade.js'

export const POLICIES = ['all-or-nothing', 'best-effort'] as const
export const UNSETTLED = ['freeze', 'refuse'] as const

/** A listening socket that every generation is started with (LISTEN_FDS), joining or not, in the order given. */
export interface ListenOption {
  /** As LISTEN_FDNAMES has it, and `runtime.listen`: 1 to 64 letters, digits, dots, dashes and underscores. */
  readonly name: string
  /** An address or a name. Default: all addresses. */
  readonly host?: string
  /** 0: the kernel chooses; `status()` says which. */
  readonly port: number
  /** Default 511. */
  readonly backlog?: number
}

export interface SupervisorOptions {
  /** What to run first. */
  readonly release: Release
  /** Listening sockets made at the start, for programs that do not join. Default none. */
  readonly listen?: readonly ListenOption[]
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
  /** Whether the server is well, asked while an upgrade is on probation. Default none: only a crash undoes it then. */
  readonly health?: HealthCheck
  /**
   * How long after its commit an upgrade is undone when the new release is unhealthy three times in a row, or crashes: everything
   * is moved back into a process of the release before. Default 30,000 ms with `health`, without it 0: never.
   */
  readonly probationMs?: number
  /**
   * This process is a supervisor and nothing else: whoever is left by a program becomes its child, and is ended with it.
   * `handover run` does so. Default false: every child that nobody here knows would be taken for one of those.
   */
  readonly adoptOrphans?: boolean
  /** Listening sockets somebody else has bound: as those of `listen`. They are the supervisor's from here on. Default none. */
  readonly inherited?: readonly PassedListener[]
  /** Keeps the listening sockets beyond the end of this process. Default: they are closed by `stop()`. */
  readonly listenerStore?: ListenerStore
  /** Keeps what the runtimes serve from `stop()` to the next supervisor's start. Default: it ends with them. */
  readonly sessionStore?: SessionStore
  /**
   * A private folder (mode 0700, made when it is not there) in which a supervisor that comes after this one's death finds its processes
   * and takes them over: docs/adoption.md. `handover run` has that of its admin socket. Default none: nobody finds them.
   */
  readonly directory?: string
  readonly logger?: Logger
}

/** What may be otherwise for one upgrade. */
export interface UpgradeOptions extends Pick<SupervisorOptions, 'policy' | 'unsettled' | 'workers' | 'probationMs'> {
  /** This one alone goes to the release, the others stay, until the next upgrade of all. Default: all. */
  readonly worker?: number
  /** Where this upgrade stands. */
  readonly onPhase?: (phase: { readonly id: number; readonly phase: UpgradePhase }) => void
}

export type Settings = Required<
  Omit<SupervisorOptions, 'logger' | 'listen' | 'listenerStore' | 'sessionStore' | 'health' | 'directory'>
> & {
  readonly sessionStore: SessionStore | undefined
  readonly health: HealthCheck | undefined
  readonly directory: string | undefined
  readonly logger: Logger
  readonly listen: readonly ListenerSpec[]
}

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
export function checkSettings(options: Partial<SupervisorOptions> & Pick<UpgradeOptions, 'worker'>): void {
  const refuse = (name: string, value: unknown, expected: string): never => {
    throw new HandoverError('HANDOVER_USAGE', `option ${name} must be ${expected}, not ${String(value)}`)
  }
  for (const name of ['readyTimeoutMs', 'drainMs', 'freezeMs', 'checkMs', 'copyMs', 'probationMs'] as const) {
    const value = options[name]
    if (value !== undefined && !(value >= 0 && value <= MAX_MS)) refuse(name, value, '0 to 86,400,000 milliseconds')
  }
  const { policy, unsettled, memoryLimitBytes, workers } = options
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS))
    refuse('workers', workers, `1 to ${MAX_WORKERS}`)
  if (options.worker !== undefined && workers !== undefined)
    refuse('workers', workers, 'left out where one worker is named')
  if (policy !== undefined && !POLICIES.includes(policy)) refuse('policy', policy, POLICIES.join(' or '))
  if (unsettled !== undefined && !UNSETTLED.includes(unsettled)) refuse('unsettled', unsettled, UNSETTLED.join(' or '))
  if (memoryLimitBytes !== undefined && !(memoryLimitBytes > 0))
    refuse('memoryLimitBytes', memoryLimitBytes, 'a number of bytes')
  if (options.health !== undefined) checkHealth(options.health)
  checkListen(options.listen ?? [])
}

/** Each is a descriptor more in every process. */
const MAX_LISTEN = 64

/** A name must not hold what LISTEN_FDNAMES separates names by (sd_listen_fds(3)). */
function checkListen(listen: readonly ListenOption[]): void {
  const refuse = (what: string): never => {
    throw new HandoverError('HANDOVER_USAGE', what)
  }
  if (listen.length > MAX_LISTEN) refuse(`there are ${listen.length} listeners, the limit is ${MAX_LISTEN}`)
  const names = new Set<string>()
  for (const { name, port, backlog = 0 } of listen) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
      refuse(`listener ${JSON.stringify(name)}: a name is 1 to 64 letters, digits, dots, dashes and underscores`)
    if (names.has(name)) refuse(`listener "${name}" is named twice`)
    names.add(name)
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      refuse(`listener "${name}": the port must be 0 to 65535, not ${port}`)
    if (!Number.isInteger(backlog) || backlog < 0 || backlog > 0x7fffffff)
      refuse(`listener "${name}": the backlog must be 0 to 2,147,483,647, not ${backlog}`)
  }
}

const DEFAULT_BACKLOG = 511

/** @throws HandoverError HANDOVER_USAGE */
export function settingsOf(options: SupervisorOptions): Settings {
  checkSettings(options)
  return {
    release: options.release,
    listen: (options.listen ?? []).map(({ name, host = null, port, backlog = DEFAULT_BACKLOG }) => ({
      name,
      host,
      port,
      backlog,
    })),
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
    health: options.health,
    probationMs: options.probationMs ?? (options.health === undefined ? 0 : 30_000),
    adoptOrphans: options.adoptOrphans ?? false,
    inherited: options.inherited ?? [],
    sessionStore: options.sessionStore,
    directory: options.directory,
    logger: options.logger ?? silent,
  }
}
