/** The subject: a server that joined. Both generations run this file. `handover.js STATE_BYTES` */
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'handover'
import { raiseDescriptorLimit } from '../descriptors.js'
import { type BenchState, clockMs, makeState, serve, stateBytes } from '../session.js'
import { announceMove } from '../statistics.js'

const [size = 1024, sessions = 10_000] = process.argv.slice(2).map(Number)
raiseDescriptorLimit(sessions)

const runtime = await join()
const liveAt: number[] = []
let frozenAt = 0
let bytes = 0

// Captured at the instant of the freeze, whichever session is captured first: the pauses below are of all sessions.
runtime.state<number>('clock', { version: 1, capture: clockMs, restore: (at) => (frozenAt = at) })

const kind = runtime.sessions<BenchState>('bench', {
  version: 1,
  capture: (_socket, state) => state,
  restore: (socket, state: BenchState) => {
    bytes += stateBytes(state)
    socket.once('connect', () => liveAt.push(clockMs()))
    serve(socket, () => state)
    return state
  },
})

let next = 0
const server = createServer((socket) => {
  const state = kind.open(socket, makeState(next++, size))
  serve(socket, () => state)
})

await runtime.listen(server, { name: 'bench', port: 0, host: '127.0.0.1', backlog: 4096 })
await runtime.ready()
console.log(`port ${(server.address() as AddressInfo).port}`)

/** Sessions may become live in slices; the announcement waits for the last. */
function announceWhenLive(): void {
  if (liveAt.length < kind.size) setImmediate(announceWhenLive)
  else announceMove({ frozenAt: liveAt.map(() => frozenAt), liveAt, bytes })
}
if (runtime.generation > 1) announceWhenLive()
