/** The server behind a proxy: it is not replaced. */
import { startChild, type Teardown } from '../../test/harness/child.js'
import type { ProtocolName } from '../protocols.js'
import { portOf, serverCommand } from '../trials/harness.js'

export async function startBackend(t: Teardown, protocol: ProtocolName, connections: number): Promise<number> {
  const words = protocol === 'tcp' ? [connections, 1024, 'plain'] : [connections, 'plain']
  const [node, ...args] = serverCommand(protocol === 'tcp' ? 'echo' : 'http', words)
  return portOf(startChild(t, node!, args))
}
