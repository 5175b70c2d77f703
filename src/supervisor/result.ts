/** What an upgrade ended with: the truth the command prints and its exit status says. */

export type Outcome = 'committed' | 'refused' | 'failed'

/**
 * - nobody: the predecessor is gone, or there was none; what was in force before is started again
 * - both: of several workers some are the successor's, and some the predecessor's
 */
export type Serves = 'successor' | 'predecessor' | 'nobody' | 'both'

/** One side of an upgrade. `pid` is null when the process never came up. */
export interface Side {
  readonly generation: number
  readonly release: string
  /** Node version without the `v`, or '' when the process never said. */
  readonly node: string
  readonly pid: number | null
}

/** Why something was refused, dropped or failed, and how often. */
export interface Reason {
  /**
   * 'upgrade' when it concerns the whole; otherwise what became of the counted sessions. 'held': they said "not now" in the
   * freeze, and were to follow later: each is counted again as what it came to. 'forced': they said so until the deadline,
   * and were moved then.
   */
  readonly of: 'upgrade' | 'refused' | 'dropped' | 'drained' | 'held' | 'forced'
  readonly reason: string
  readonly count: number
  readonly kind?: string
  readonly version?: number
  /** Of several workers, those it concerns; absent where it concerns the whole. */
  readonly workers?: readonly number[]
}

export interface SessionCounts {
  readonly moved: number
  /** Connections that ended by themselves in the predecessor. */
  readonly drained: number
  /** Connections the predecessor closed at the drain deadline, or that died with a process. */
  readonly dropped: number
  /** Sessions that could not be captured, read or restored. */
  readonly refused: number
}

export interface Pauses {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Followed {
  readonly sessions: number
  readonly pauseMs: Pauses | null
}

/** What became of one worker. */
export interface WorkerResult {
  /** From 0. */
  readonly worker: number
  readonly outcome: Outcome
  readonly serves: Exclude<Serves, 'both'>
  readonly from: Side
  readonly to: Side
  readonly sessions: SessionCounts
  readonly pauseMs: Pauses | null
  readonly followed: Followed
}

export interface PhaseDuration {
  readonly phase: string
  readonly durationMs: number
}

/** A predecessor of an earlier upgrade that still serves what could not move. */
export interface Draining {
  readonly generation: number
  /** Until its deadline, in milliseconds. */
  readonly leftMs: number
}

/** What became of a committed upgrade in the time it was on trial. */
export interface ProbationResult {
  /**
   * - passed: it was well to the end
   * - undone: the release before serves again, with everything that could move back
   * - unhealthy: it was to be undone, and could not be: the new release still serves, or nobody
   * - ended: another upgrade, or a stop, came first
   */
  readonly verdict: 'passed' | 'undone' | 'unhealthy' | 'ended'
  /** What was wrong. */
  readonly reason?: string
  /** The upgrade back, as far as there was one. */
  readonly undo?: UpgradeResult
}

export interface UpgradeResult {
  /** Counts the upgrades of this supervisor, from 1. */
  readonly id: number
  readonly outcome: Outcome
  /** Who serves from the instant it was decided. */
  readonly serves: Serves
  readonly startedAt: string
  /** Command to the end of the drain. */
  readonly durationMs: number
  /** Who served; when nobody did, a reason says so, and this is who served or was to serve last. Of several workers the first. */
  readonly from: Side
  readonly to: Side
  /** Of all workers together. */
  readonly sessions: SessionCounts
  readonly reasons: readonly Reason[]
  /**
   * From the freeze to the instant a session is live again, per session, in milliseconds. Null when nothing moved. Of several
   * workers the largest of each: no quantile over all sessions is larger.
   */
  readonly pauseMs: Pauses | null
  /** Sessions that moved after commit, counted in `moved` too, and their pauses: each stood still for its own batch only. */
  readonly followed: Followed
  /** Of several workers the longest of each. */
  readonly phases: readonly PhaseDuration[]
  /** Sessions that others gave to new workers. Not in `sessions`. */
  readonly spread: Followed
  /** By worker; one row where there is one. */
  readonly workers: readonly WorkerResult[]
  /** The listening sockets by name when it was decided, with the kernel's cookie (decimal) seen in both generations. */
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly cookie: string }[]
  /** The other generations that were draining when it was decided. */
  readonly draining: readonly Draining[]
  /** Present when it was committed, and on probation. All else is of the upgrade itself. */
  readonly probation?: ProbationResult
}
