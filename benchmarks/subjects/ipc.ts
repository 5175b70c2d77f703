/**
 * The peer: Node's own `process.send(message, socket)`, with OUTSTANDING messages unacknowledged at most.
 * `ipc.js STATE_BYTES SESSIONS OUTSTANDING`; forks itself as the receiver. Moves on a line of stdin.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { raiseDescriptorLimit } from '../descriptors.js'
import { type BenchState, clockMs, makeState, serve, stateBytes } from '../session.js'
import { announceMove } from '../statistics.js'

interface Message {
  state: BenchState
  frozenAt: number
}

const [size = 1024, sessions = 10_000, outstanding = 64] = process.argv.slice(2).map(Number)
raiseDescriptorLimit(sessions)

function receive(): void {
  const frozenAt: number[] = []
  const liveAt: number[] = []
  let bytes = 0
  process.on('disconnect', () => process.exit())
  process.on('message', ({ state, frozenAt: at }: Message, handle) => {
    serve(handle as Socket, () => state)
    frozenAt.push(at)
    liveAt.push(clockMs())
    bytes += stateBytes(state)
    if (liveAt.length === sessions) announceMove({ frozenAt, liveAt, bytes })
  })
}

async function send(): Promise<void> {
  const receiver = fork(fileURLToPath(import.meta.url), process.argv.slice(2))
  const states = new Map<Socket, BenchState>()
  const server = createServer((socket) => {
    const state = makeState(states.size, size)
    states.set(socket, state)
    serve(socket, () => state)
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  console.log(`port ${(server.address() as AddressInfo).port}`)

  await once(process.stdin, 'data')
  const waiting = [...states]
  const one = (): void => {
    const next = waiting.shift()
    if (next === undefined) return
    const [socket, state] = next
    socket.pause()
    receiver.send({ state, frozenAt: clockMs() } satisfies Message, socket, {}, one)
  }
  for (let count = 0; count < outstanding; count += 1) one()
}

if (process.send === undefined) await send()
else receive()
