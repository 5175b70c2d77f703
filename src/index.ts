/** The public API: what a server links. */
import { netTransport } from './adapters/net.js'
import { joinWith } from './runtime/join.js'
import type { JoinOptions, Runtime } from './runtime/types.js'

export { ERRORS, type ErrorCode, HandoverError } from './errors.js'
export type { Logger } from './logger.js'
export { Deadline } from './runtime/deadline.js'
export type {
  Hooks,
  JoinOptions,
  ListenOptions,
  Migration,
  Precopy,
  Runtime,
  SessionDefinition,
  SessionKind,
  StateDefinition,
} from './runtime/types.js'

/**
 * Makes this process a runtime of the supervisor that started it; without one it stands alone and everything but moving
 * works the same. Once in a process.
 * @throws HandoverError HANDOVER_ADDON_MISSING, HANDOVER_CHANNEL_CLOSED, HANDOVER_USAGE
 */
export function join(options: JoinOptions = {}): Promise<Runtime> {
  return joinWith(netTransport, options)
}
