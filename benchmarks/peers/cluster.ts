/** Node's own: a primary that starts a new worker, then disconnects the old one, and kills it when that takes too long. */
import { startNode } from '../../test/harness/child.js'
import type { ProtocolName } from '../protocols.js'
import { serverCommand } from '../trials/harness.js'
import { accepts, freePort, type Peer } from './peer.js'

export const nodeCluster = (protocol: ProtocolName): Peer => ({
  title: 'node:cluster rolling restart',
  protocol,
  replaces: 'server',
  descriptors: 1,
  unavailable: () => undefined,
  async start(t, connections) {
    const port = await freePort()
    const words = protocol === 'tcp' ? [connections, 1024, 'plain'] : [connections, 'plain']
    const [, , file, ...args] = serverCommand(protocol === 'tcp' ? 'echo' : 'http', words)
    const primary = startNode(t, 'benchmarks/peers/cluster-primary.js', [file!, ...args], {
      env: { PORT: String(port) },
    })
    await primary.line(/^serving \d+$/)
    await accepts(port)
    return {
      port,
      serving: () =>
        primary.lines
          .flatMap((line) => /^serving (\d+)$/.exec(line)?.[1] ?? [])
          .slice(-1)
          .map(Number),
      reload: async () => {
        const from = primary.lines.length
        primary.write('reload\n')
        await primary.line(/^serving \d+$/, from)
      },
    }
  },
})
