/** `handover/supervisor`: the supervisor as a library; the CLI is made of it. */
export { ERRORS, type ErrorCode, HandoverError } from '../errors.js'
export type { Logger } from '../logger.js'
export { Admin } from './admin.js'
export { adminSocketPath, DEFAULT_NAME } from './directory.js'
export { examine, type Finding } from './doctor.js'
export type { HealthCheck, ServingProcess } from './health.js'
export type { ListenOption, SupervisorOptions, UpgradeOptions } from './options.js'
export type { ReadyWhen } from './readiness.js'
export type { Release } from './release.js'
export type {
  Draining,
  Followed,
  Outcome,
  Pauses,
  PhaseDuration,
  ProbationResult,
  Reason,
  Serves,
  SessionCounts,
  Side,
  UpgradeResult,
  WorkerResult,
} from './result.js'
export type { GenerationStatus, SupervisorStatus, UpgradeStatus } from './status.js'
export { Supervisor } from './supervisor.js'
export type { SupervisorEvents } from './supervisor-events.js'
export type { UpgradePhase } from './upgrade.js'
