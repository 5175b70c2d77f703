/** WebSockets of the library `ws`: see docs/ws.md. */
import type { WebSocketServer } from 'ws'
import { HandoverError } from '../errors.js'
import type { Runtime } from '../runtime/types.js'
import { isServer, WsKind } from './ws/kind.js'
import type { WebSockets, WsDefinition, WsOptions } from './ws/types.js'

export type { WebSockets, WsDefinition, WsOptions } from './ws/types.js'

/**
 * The WebSockets of this server move. Before `runtime.ready()`, once for each server; the server is one that listens by itself
 * for nothing: `{ server }` of an HTTP server given to `runtime.listen`, or `{ noServer: true }`.
 * @param definition what the app keeps of each; without it the successor's handlers of 'connection' are called.
 * @throws HandoverError HANDOVER_USAGE
 */
export function ws<State = unknown>(
  runtime: Runtime,
  server: WebSocketServer,
  definition: WsDefinition<State> | WsOptions = {},
): WebSockets {
  if (!isServer(server)) throw new HandoverError('HANDOVER_USAGE', 'ws() needs a WebSocketServer of the library ws')
  if (server.options.port !== undefined && server.options.port !== null)
    throw new HandoverError(
      'HANDOVER_USAGE',
      'this WebSocketServer listens on a port of its own, which a successor could not have: give it { server }, and that one to runtime.listen()',
    )
  for (const method of ['capture', 'restore'] as const)
    if (method in definition !== 'version' in definition)
      throw new HandoverError('HANDOVER_USAGE', 'ws(): capture, restore and version come together')
  return new WsKind(runtime, server, definition)
}
