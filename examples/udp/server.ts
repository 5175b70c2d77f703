/**
 * A UDP relay: what one peer sends goes to all others that have been heard of in the last minute. Peers are shared state, and the
 * socket is the same in every generation.
 *
 *   npx handover run -- node dist/examples/udp/server.js
 *   nc -u 127.0.0.1 4000        in two terminals
 *   npx handover upgrade
 */
import { createSocket } from 'node:dgram'
import { join } from 'handover'
import { dgram } from 'handover/dgram'

interface Peer {
  readonly address: string
  readonly port: number
  /** Datagrams that came from it. */
  count: number
  heardAt: number
}

const FORGET_MS = 60_000

const runtime = await join()
let peers = new Map<string, Peer>()
runtime.state<Map<string, Peer>>('peers', {
  version: 1,
  capture: () => peers,
  restore: (state) => {
    peers = state
  },
})

const socket = createSocket('udp4')
socket.on('message', (message, { address, port }) => {
  const name = `${address}:${port}`
  const peer = peers.get(name) ?? { address, port, count: 0, heardAt: 0 }
  peer.count += 1
  peer.heardAt = Date.now()
  peers.set(name, peer)
  for (const [other, { address, port, heardAt }] of peers) {
    if (heardAt < Date.now() - FORGET_MS) peers.delete(other)
    else if (other !== name) socket.send([`${name} #${peer.count}: `, message], port, address)
  }
  socket.send(`ok ${peer.count}, ${peers.size} peers, generation ${runtime.generation}\n`, port, address)
})

await dgram(runtime, socket, { name: 'relay', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`serves 127.0.0.1:${socket.address().port} as process ${process.pid}`)
