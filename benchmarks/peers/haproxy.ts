/** HAProxy in master-worker mode: the new worker takes the listening sockets from the old one (`-x`), which then stops (`-sf`). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProtocolName } from '../protocols.js'
import { startBackend } from './backend.js'
import { startMaster } from './master.js'
import { findProgram, freePort, type Peer, temporaryFolder } from './peer.js'

/** `no strict-limits`: it asks for two descriptors for each connection, also where an idle one needs only one. */
const config = (folder: string, protocol: ProtocolName, port: number, backend: number, connections: number): string => `
global
  maxconn ${connections + 200}
  no strict-limits
  stats socket ${folder}/admin.sock mode 600 level admin expose-fd listeners
defaults
  mode ${protocol}
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  timeout http-keep-alive 10m
frontend clients
  bind 127.0.0.1:${port} backlog 4096
  default_backend servers
backend servers
  server one 127.0.0.1:${backend}
`

export const haproxy = (protocol: ProtocolName): Peer => ({
  title: 'HAProxy reload',
  protocol,
  replaces: 'proxy',
  descriptors: protocol === 'tcp' ? 2 : 1,
  unavailable: () =>
    findProgram('haproxy') === undefined ? 'haproxy is not installed (apt install haproxy)' : undefined,
  async start(t, connections) {
    const folder = temporaryFolder(t)
    const [port, backend] = [await freePort(), await startBackend(t, protocol, connections)]
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(file, config(folder, protocol, port, backend, connections))
    return startMaster(t, findProgram('haproxy')!, ['-W', '-f', file], { port, reloadBy: 'SIGUSR2' })
  },
})
