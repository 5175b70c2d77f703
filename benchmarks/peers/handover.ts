/** The subject itself, as its users run it. */
import { startSupervisor } from '../../test/harness/supervisor.js'
import type { ProtocolName } from '../protocols.js'
import { portOf, serverCommand } from '../trials/harness.js'
import { DRAIN_MS, type Peer } from './peer.js'

export const handover = (protocol: ProtocolName): Peer => ({
  title: 'handover upgrade',
  protocol,
  replaces: 'server',
  descriptors: 1,
  unavailable: () => undefined,
  async start(t, connections) {
    const command =
      protocol === 'tcp'
        ? serverCommand('echo', [connections, 1024, 'touch'])
        : serverCommand('http', [connections, 'moved'])
    const supervisor = startSupervisor(t, { command, options: ['--drain', `${DRAIN_MS}ms`] })
    return {
      port: await portOf(supervisor.child),
      serving: () =>
        supervisor.child.lines
          .flatMap((line) => /^started (\d+)$/.exec(line)?.[1] ?? [])
          .slice(-1)
          .map(Number),
      reload: async () => {
        const { exitCode, lines } = await supervisor.upgrade()
        if (exitCode !== 0) throw new Error(`handover upgrade: ${lines.join('\n')}`)
      },
    }
  },
})
