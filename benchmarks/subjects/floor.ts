/**
 * The floor: batches of descriptors with their states' bytes as one message each over a SOCK_SEQPACKET pair, and
 * `new net.Socket({ fd })`. No check, no vote, no way back. `floor.js STATE_BYTES SESSIONS`; moves on a line of stdin.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { binding, POLLIN, POLLOUT } from '../../src/sys/binding.js'
import { raiseDescriptorLimit } from '../descriptors.js'
import { type BenchState, clockMs, makeState, serve, stateBytes } from '../session.js'
import { announceMove } from '../statistics.js'

const BATCH = 128
/** A message must fit the send buffer (net.core.wmem_default, 208 KiB). */
const BATCH_BYTES = 150_000
const CHANNEL = 3

interface Batch {
  frozenAt: number
  states: BenchState[]
}

const [size = 1024, sessions = 10_000, role] = process.argv.slice(2)
raiseDescriptorLimit(Number(sessions))

function receive(): void {
  const frozenAt: number[] = []
  const liveAt: number[] = []
  const into = Buffer.alloc(1 << 20)
  let bytes = 0
  binding().growDescriptorTable(Number(sessions) + 200)
  const watcher = binding().watch(CHANNEL, () => {
    for (let message = binding().receive(CHANNEL, into); message?.bytes; message = binding().receive(CHANNEL, into)) {
      const batch = JSON.parse(into.toString('latin1', 0, message.bytes)) as Batch
      for (const [index, fd] of message.descriptors.entries()) {
        const state = batch.states[index]!
        serve(new Socket({ fd }), () => state)
        frozenAt.push(batch.frozenAt)
        liveAt.push(clockMs())
        bytes += stateBytes(state)
      }
    }
    if (liveAt.length < Number(sessions)) return
    announceMove({ frozenAt, liveAt, bytes })
    watcher.close()
  })
  watcher.start(POLLIN)
  process.on('disconnect', () => process.exit())
  process.send?.('watching')
}

async function send(): Promise<void> {
  const [ours, theirs] = binding().socketpair()
  const self = fileURLToPath(import.meta.url)
  const receiver = spawn(process.execPath, [self, `${size}`, `${sessions}`, 'receive'], {
    stdio: ['ignore', 'inherit', 'inherit', theirs, 'ipc'],
  })
  await once(receiver, 'message')
  binding().close(theirs)
  const states = new Map<Socket, BenchState>()
  const server = createServer((socket) => {
    const state = makeState(states.size, Number(size))
    states.set(socket, state)
    serve(socket, () => state)
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  console.log(`port ${(server.address() as AddressInfo).port}`)

  await once(process.stdin, 'data')
  const all = [...states]
  const each = Math.max(1, Math.min(BATCH, Math.floor(BATCH_BYTES / (Number(size) + 200))))
  for (let start = 0; start < all.length; start += each) {
    const some = all.slice(start, start + each)
    const frozenAt = clockMs()
    const fds = some.map(([socket]) => {
      const handle = (socket as unknown as { _handle: { fd: number; readStop(): void } })._handle
      handle.readStop()
      return handle.fd
    })
    const payload = Buffer.from(
      JSON.stringify({ frozenAt, states: some.map(([, state]) => state) } satisfies Batch),
      'latin1',
    )
    while (!binding().send(ours, payload, fds)) binding().poll([ours], [POLLOUT], -1)
  }
}

if (role === 'receive') receive()
else await send()
