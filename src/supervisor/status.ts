/** What a supervisor says of itself. */
import { nowMs } from '../sys/clock.js'
import type { Generation, GenerationState } from './generation.js'
import type { Side, UpgradeResult } from './result.js'
import type { UpgradePhase } from './upgrade.js'

export interface GenerationStatus extends Side {
  readonly state: GenerationState
  readonly uptimeMs: number
  /** Live sessions by kind; null when the runtime did not answer. */
  readonly sessions: Readonly<Record<string, number>> | null
  /** Open connections that are not sessions; null when the runtime did not answer. */
  readonly unregistered: number | null
}

export interface SupervisorStatus {
  readonly pid: number
  readonly uptimeMs: number
  readonly upgrading: UpgradePhase | null
  readonly generations: readonly GenerationStatus[]
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly cookie: string }[]
  readonly lastUpgrade: UpgradeResult | null
}

/** A runtime whose event loop stands still does not answer; status does not wait for it longer than this. */
const ASK_MS = 1000

export async function generationStatus(generation: Generation): Promise<GenerationStatus> {
  const said = await generation.ask(ASK_MS)
  return {
    ...generation.side,
    state: generation.state,
    uptimeMs: nowMs() - generation.startedAtMs,
    sessions: said === undefined ? null : Object.fromEntries(said.sessions.map(({ name, count }) => [name, count])),
    unregistered: said?.unregistered ?? null,
  }
}
