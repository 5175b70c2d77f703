/**
 * The other ends: holds connections and pings each of them. Orders come by stdin (`connect PORT COUNT`, `ping`, `reset`),
 * answers by stdout: `connected`, `pinged {pids, bytes, digest}`, the end.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { raiseDescriptorLimit } from '../descriptors.js'
import { REPLY_BYTES } from '../session.js'

const CONNECTING_AT_ONCE = 100

export interface Pinged {
  pids: number[]
  /** Of state, summed over all sessions. */
  bytes: number
  /** Of size and hash of each session's state, in the order of the connections. */
  digest: string
}

const sockets: Socket[] = []

async function open(port: number, count: number): Promise<void> {
  raiseDescriptorLimit(count)
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(CONNECTING_AT_ONCE, count - sockets.length) }, () =>
      connect({ port, host: '127.0.0.1' }),
    )
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    sockets.push(...some)
  }
  for (const socket of sockets) {
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('a connection was closed'))
  }
}

function fail(reason: string): void {
  console.log(`cut ${reason}`)
  process.exit(1)
}

async function pingAll(): Promise<Pinged> {
  const replies: Buffer[] = []
  for (let start = 0; start < sockets.length; start += CONNECTING_AT_ONCE) {
    replies.push(...(await Promise.all(sockets.slice(start, start + CONNECTING_AT_ONCE).map(ping))))
  }
  const digest = createHash('sha256')
  for (const reply of replies) digest.update(reply.subarray(4))
  return {
    pids: [...new Set(replies.map((reply) => reply.readUInt32LE(0)))],
    bytes: replies.reduce((sum, reply) => sum + reply.readUInt32LE(4), 0),
    digest: digest.digest('hex'),
  }
}

function ping(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    let reply = Buffer.alloc(0)
    const onData = (bytes: Buffer): void => {
      reply = Buffer.concat([reply, bytes])
      if (reply.length < REPLY_BYTES) return
      socket.off('data', onData)
      resolve(reply)
    }
    socket.on('data', onData)
    socket.write('p')
  })
}

for await (const order of createInterface(process.stdin)) {
  const [verb, port, count] = order.split(' ')
  if (verb === 'connect') {
    await open(Number(port), Number(count))
    console.log('connected')
  } else if (verb === 'ping') console.log(`pinged ${JSON.stringify(await pingAll())}`)
  else break
}
// Reset instead of closed: 10,000 ports must not wait out TIME_WAIT before the next trial.
for (const socket of sockets) socket.removeAllListeners('close').resetAndDestroy()
process.exit()
