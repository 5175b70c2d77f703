/** How much is measured: all of it as the targets say, or a bounded share that shows that everything still works. */

export interface Plan {
  readonly quick: boolean
  readonly trials: number
  readonly stateBytes: number
  readonly sessions: number
  readonly active: number
  /** How long clients are watched before an upgrade: the worst of that time is what it is held against. */
  readonly observedMs: number
  /** Idle sessions in one process. */
  readonly counts: readonly number[]
  /** Pairs of processes beside each other: descriptors are limited in each. */
  readonly pairs: { readonly count: number; readonly sessions: number }
  readonly flood: { readonly connections: number; readonly rounds: number; readonly ms: number }
  readonly large: { readonly sessions: number; readonly stateBytes: number }
  readonly peers: { readonly idle: number; readonly active: number; readonly goneWithinMs: number }
}

/** Messages a second of an active client. */
export const RATE = 20

export const FULL: Plan = {
  quick: false,
  trials: 3,
  stateBytes: 1024,
  sessions: 10_000,
  active: 500,
  observedMs: 2000,
  counts: [1_000, 5_000, 10_000, 18_000],
  pairs: { count: 3, sessions: 16_700 },
  flood: { connections: 50, rounds: 24, ms: 150 },
  large: { sessions: 500, stateBytes: 1 << 20 },
  peers: { idle: 10_000, active: 500, goneWithinMs: 15_000 },
}

export const QUICK: Plan = {
  quick: true,
  trials: 1,
  stateBytes: 1024,
  sessions: 200,
  active: 20,
  observedMs: 300,
  counts: [100, 300],
  pairs: { count: 2, sessions: 200 },
  flood: { connections: 10, rounds: 2, ms: 100 },
  large: { sessions: 20, stateBytes: 1 << 18 },
  peers: { idle: 200, active: 20, goneWithinMs: 5_000 },
}
