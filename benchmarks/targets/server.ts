/**
 * An echo server with a session for each connection. `server.js SESSIONS STATE_BYTES MODE`: `plain` without the library,
 * `none` with it, `compare` or `touch` with pre-copy.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'handover'
import { raiseDescriptorLimit } from '../descriptors.js'
import { type BenchState, makeState } from '../session.js'

type Mode = 'plain' | 'none' | 'compare' | 'touch'

const [sessions = '1000', size = '1024', mode = 'touch'] = process.argv.slice(2) as [string, string, Mode]
raiseDescriptorLimit(Number(sessions))

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
if (mode === 'plain') {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, makeState(next++, Number(size))))
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    console.log(`port ${(server.address() as AddressInfo).port}`)
  })
} else {
  const runtime = await join()
  const changes = mode === 'none' ? undefined : mode
  const kind = runtime.sessions<BenchState>('bench', {
    version: 1,
    capture: (_socket, state) => state,
    restore: (socket, state: BenchState) => serve(socket, state),
    ...(changes === undefined
      ? {}
      : {
          precopy: {
            changes,
            update: (_socket, state, later: BenchState) => void Object.assign(state, later),
            forget: () => undefined,
          },
        }),
  })
  const server = createServer({ noDelay: true }, (socket) => {
    kind.open(socket, serve(socket, makeState(next++, Number(size))))
  })
  await runtime.listen(server, { name: 'bench', port: 0, host: '127.0.0.1', backlog: 4096 })
  await runtime.ready()
  console.log(`port ${(server.address() as AddressInfo).port}`)
}
