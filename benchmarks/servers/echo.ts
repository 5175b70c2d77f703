/**
 * An echo server with a session for each connection. `echo.js SESSIONS STATE_BYTES MODE [clock]`. Says `started PID`, then
 * `port N`, or in a successor `live PID AT`, and `restored {pid, sessions, bytes}` once that is all of them: independent ones
 * come after commit. With `clock` it says `captured PID AT` whenever shared state is captured, the last time at the freeze.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join, type SessionDefinition } from 'handover'
import { raiseDescriptorLimit } from '../descriptors.js'
import { type BenchState, clockMs, makeState, stateBytes } from '../session.js'
import { endOnSignal } from './server.js'

/** `plain` without the library, `none` with it and without pre-copy, then the two kinds of pre-copy, and batch by batch. */
export type Mode = 'plain' | 'none' | 'compare' | 'touch' | 'independent'
type Definition = SessionDefinition<BenchState>

const [sessions = '1000', size = '1024', mode = 'touch', clock] = process.argv.slice(2) as [
  string,
  string,
  Mode,
  string?,
]
raiseDescriptorLimit(Number(sessions))
endOnSignal()

/** Sends back what comes, and counts it: a session that is active is a session that changes. */
function serve(socket: Socket, state: BenchState): BenchState {
  socket.on('data', (bytes) => {
    state.lastSeen += bytes.length
    socket.write(bytes)
  })
  socket.on('error', () => socket.destroy())
  return state
}

let next = 0
const restored = { sessions: 0, bytes: 0 }

function precopy(changes: 'compare' | 'touch'): Definition['precopy'] {
  return {
    changes,
    update: (_socket, state, later: BenchState) => void Object.assign(state, later),
    forget: () => undefined,
  }
}

const EXTRA: Readonly<Record<Exclude<Mode, 'plain'>, object>> = {
  none: {},
  compare: { precopy: precopy('compare') },
  touch: { precopy: precopy('touch') },
  independent: { independent: true },
}

if (mode === 'plain') {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, makeState(next++, Number(size))))
  server.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', backlog: 4096 }, () => {
    console.log(`port ${(server.address() as AddressInfo).port}`)
  })
} else {
  const runtime = await join()
  console.log(`started ${process.pid}`)
  if (clock !== undefined) {
    const capture = (): number => {
      const at = clockMs()
      console.log(`captured ${process.pid} ${at}`)
      return at
    }
    runtime.state<number>('clock', { version: 1, capture, restore: () => undefined })
  }
  const kind = runtime.sessions<BenchState>('bench', {
    version: 1,
    capture: (_socket, state) => state,
    restore: (socket, state: BenchState) => {
      restored.sessions++
      restored.bytes += stateBytes(state)
      if (restored.sessions >= Number(sessions))
        console.log(`restored ${JSON.stringify({ pid: process.pid, ...restored })}`)
      return serve(socket, state)
    },
    ...EXTRA[mode],
  } as Definition)
  const server = createServer({ noDelay: true }, (socket) => {
    kind.open(socket, serve(socket, makeState(next++, Number(size))))
  })
  await runtime.listen(server, { name: 'bench', port: 0, host: '127.0.0.1', backlog: 4096 })
  await runtime.ready()
  if (runtime.generation > 1) console.log(`live ${process.pid} ${clockMs()}`)
  else console.log(`port ${(server.address() as AddressInfo).port}`)
}
