/** What a supervisor tells of, as it happens. */
import type { HandoverError } from '../errors.js'
import type { UpgradeResult } from './result.js'
import type { UpgradePhase } from './upgrade.js'

export interface SupervisorEvents {
  /** A process serves, as that worker. */
  serving: [{ generation: number; pid: number | null; worker: number }]
  /** A serving runtime ended unasked; it is started again after `delayMs`. */
  crashed: [{ generation: number; reason: string; delayMs: number; worker: number }]
  /** Where an upgrade stands. Several may be in 'drain' at once. */
  phase: [{ id: number; phase: UpgradePhase }]
  upgraded: [UpgradeResult]
  /** The runtime crashed too often, as every worker, and nobody serves. */
  gaveUp: [HandoverError]
  /** stop() begins. */
  stopping: []
  /** stop() has done its work. */
  stopped: []
}
