/** What a supervisor says of itself. */
import { nowMs } from '../sys/clock.js'
import type { Generation } from './generation.js'
import type { GenerationState } from './process-words.js'
import type { Side, UpgradeResult } from './result.js'
import type { UpgradePhase } from './upgrade.js'

/** One process. */
export interface GenerationStatus extends Side {
  /** Which of those that serve side by side, from 0. */
  readonly worker: number
  readonly state: GenerationState
  /** False of a program that knows nothing of handover. */
  readonly joins: boolean
  /** What it last said on NOTIFY_SOCKET (STATUS=, ERRNO=), or tried to; null when nothing. */
  readonly said: string | null
  readonly uptimeMs: number
  /** Until the deadline of its drain; null when it does not drain. */
  readonly drainLeftMs: number | null
  /** Live sessions by kind; null when the runtime did not answer. */
  readonly sessions: Readonly<Record<string, number>> | null
  /** Open connections that are not sessions; null when the runtime did not answer. */
  readonly unregistered: number | null
}

/** An upgrade that has not ended: at most one before its commit, and any number that drain. */
export interface UpgradeStatus {
  readonly id: number
  readonly phase: UpgradePhase
  /** Numbers of the generations. */
  readonly from: number
  readonly to: number
}

export interface SupervisorStatus {
  readonly pid: number
  readonly uptimeMs: number
  /** How many processes serve side by side. */
  readonly workers: number
  /** The phase of the newest upgrade that has not ended; null when all have. In 'drain' the next one may begin. */
  readonly upgrading: UpgradePhase | null
  /** The oldest first. */
  readonly upgrades: readonly UpgradeStatus[]
  /** The upgrade that is on trial, and for how long; null when none is. */
  readonly probation: { readonly upgrade: number; readonly leftMs: number } | null
  readonly generations: readonly GenerationStatus[]
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly cookie: string }[]
  /** The newest upgrade that has ended: none that began before it ends later in its place. */
  readonly lastUpgrade: UpgradeResult | null
}

/** A runtime whose event loop stands still does not answer; status does not wait for it longer than this. */
const ASK_MS = 1000

export async function generationStatus(generation: Generation): Promise<GenerationStatus> {
  const said = await generation.ask(ASK_MS)
  return {
    ...generation.side,
    worker: generation.worker,
    state: generation.state,
    joins: generation.joins,
    said: generation.saying ?? null,
    uptimeMs: nowMs() - generation.startedAtMs,
    drainLeftMs: generation.drainLeftMs,
    sessions: said === undefined ? null : Object.fromEntries(said.sessions.map(({ name, count }) => [name, count])),
    unregistered: said?.unregistered ?? null,
  }
}
