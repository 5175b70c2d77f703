/**
 * Clients of the echo server, checking each byte they get. Orders by stdin: `connect PORT COUNT ACTIVE RATE`, then
 * `report` (worst and median latency since the last one), `flood MS` (as many echoes as go through), `end`.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { raiseDescriptorLimit } from '../descriptors.js'
import { percentile } from '../statistics.js'

const CONNECTING_AT_ONCE = 100
const MESSAGE = Buffer.alloc(32, 'handover ')
const sockets: Socket[] = []
let latencies: number[] = []

function fail(reason: string): void {
  console.log(`cut ${reason}`)
  process.exit(1)
}

async function open(port: number, count: number): Promise<void> {
  raiseDescriptorLimit(count)
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(CONNECTING_AT_ONCE, count - sockets.length) }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    )
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    sockets.push(...some)
  }
  for (const socket of sockets) {
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('a connection was closed'))
  }
}

/** One message at a time, RATE times a second; a late answer makes the next one late. */
function talk(socket: Socket, everyMs: number): void {
  let askedAt = 0
  let missing = 0
  socket.on('data', (bytes) => {
    missing -= bytes.length
    if (missing < 0 || !MESSAGE.includes(bytes)) fail('a byte was doubled or wrong')
    if (missing > 0) return
    latencies.push(performance.now() - askedAt)
    setTimeout(say, Math.max(0, askedAt + everyMs - performance.now()))
  })
  const say = () => {
    askedAt = performance.now()
    missing = MESSAGE.length
    socket.write(MESSAGE)
  }
  setTimeout(say, Math.random() * everyMs)
}

/** Echoes a second over all connections, one outstanding on each. */
async function flood(ms: number): Promise<number> {
  let echoes = 0
  for (const socket of sockets) {
    socket.on('data', () => {
      echoes++
      socket.write(MESSAGE)
    })
    socket.write(MESSAGE)
  }
  await new Promise((resolve) => setTimeout(resolve, ms))
  return (echoes / ms) * 1000
}

for await (const order of createInterface(process.stdin)) {
  const [verb, ...words] = order.split(' ')
  const [first = 0, second = 0, active = 0, rate = 0] = words.map(Number)
  if (verb === 'connect') {
    await open(first, second)
    for (const socket of sockets.slice(0, active)) talk(socket, 1000 / rate)
    console.log('connected')
  } else if (verb === 'report') {
    const sorted = latencies.sort((a, b) => a - b)
    latencies = []
    console.log(
      `latency ${JSON.stringify({ count: sorted.length, p50: percentile(sorted, 0.5), max: sorted.at(-1) ?? 0 })}`,
    )
  } else if (verb === 'flood') console.log(`rate ${await flood(first)}`)
  else break
}
for (const socket of sockets) socket.removeAllListeners('close').resetAndDestroy()
process.exit()
