/** The oracle must be able to fail: a server that cheats by one byte is found out, and the fault has a name. */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t from 'tap'
import { attachStream, newStream } from '../fixtures/stream-session.js'
import type { Teardown } from './child.js'
import { explain, firstWrong, keyOf, keystream } from './keystream.js'
import { Oracle } from './oracle.js'
import { ask } from './prober.js'

async function serve(test: Teardown, onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, onSocket).listen(0, '127.0.0.1')
  test.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const honest = (socket: Socket): unknown =>
  attachStream(socket, newStream(), () => 'release=1 generation=2 pid=3 connections=4')

t.test('every position of the stream can be computed alone', async (t) => {
  const whole = keystream(7, 0, 1000)
  for (const [start, end] of [
    [0, 1],
    [1, 2],
    [3, 9],
    [4, 1000],
    [997, 1000],
    [500, 500],
  ] as const) {
    t.same(keystream(7, start, end - start), whole.subarray(start, end))
  }
  t.notSame(keystream(8, 0, 1000), whole)
  t.equal(firstWrong(7, 10, whole.subarray(10, 20)), -1)
})

t.test('lost, doubled and wrong bytes are told apart', async (t) => {
  t.equal(explain(7, 100, keystream(7, 130, 50)), '30 bytes lost at position 100')
  t.equal(explain(7, 100, keystream(7, 90, 50)), '10 bytes doubled at position 100')
  const wrong = keystream(7, 100, 50)
  wrong[20]! ^= 1
  t.equal(explain(7, 100, wrong), 'wrong byte at position 120')
})

t.test('an honest server passes: halves of lines, a slow reader, a half-closed side', async (t) => {
  const port = await serve(t, honest)
  const oracle = await Oracle.open({ port, seed: 5, push: 3_000_000, flood: true, headerBytes: 4, paused: true })
  oracle.completeHeader()
  oracle.send(100_000)
  oracle.halfClose()
  await oracle.finish()
  t.equal(oracle.received, 3_100_000)
  t.same(await ask(port), { release: '1', generation: 2, pid: 3, connections: 4 })
})

t.test('a server that loses a byte at the end, or one in the middle, does not', async (t) => {
  const port = await serve(t, (socket) => {
    socket.once('data', () => socket.end(keystream(keyOf(5, 'down'), 0, 99)))
  })
  const short = await Oracle.open({ port, seed: 5, push: 100 })
  await t.rejects(short.finish(), /1 of 100 bytes lost at the end/)
  short.socket.destroy()

  const gap = await serve(t, (socket) => {
    socket.once('data', () => socket.end(keystream(keyOf(5, 'down'), 1, 99)))
  })
  const shifted = await Oracle.open({ port: gap, seed: 5, push: 100 })
  await t.rejects(shifted.finish(), /1 bytes lost at position 0/)
  shifted.socket.destroy()
})

t.test('a server that hangs up is found out', async (t) => {
  const port = await serve(t, (socket) => void socket.once('data', () => socket.resetAndDestroy()))
  const oracle = await Oracle.open({ port, seed: 5, push: 100 })
  await t.rejects(oracle.finish(), /connection (failed|5: cut)/)
  await t.rejects(ask(port))
})
