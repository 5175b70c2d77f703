/** UDP without a supervisor, and what stands between a held socket and its app until it is let go. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { HeldCalls } from '../../src/adapters/dgram/held-calls.js'
import { inheritMemberships } from '../../src/adapters/dgram/inherited.js'
import { dgram } from '../../src/adapters/dgram.js'
import { join } from '../../src/index.js'
import type { Runtime } from '../../src/runtime/types.js'
import { until, within } from '../harness/timeout.js'

const runtime = await join()
const open = () => createSocket('udp4')

t.test('alone: it is bound, and receives', async (t) => {
  const socket = open()
  await dgram(runtime, socket, { name: 'alone', port: 0, host: '127.0.0.1' })
  const { port, address } = socket.address()
  t.equal(address, '127.0.0.1')
  const got = within(once(socket, 'message'), 'a datagram')
  socket.send('to myself', port, '127.0.0.1')
  t.equal(String((await got)[0]), 'to myself')
  t.notOk(Object.hasOwn(socket, 'send'))

  const other = open()
  await t.rejects(dgram(runtime, other, { name: 'alone', port: 0 }), {
    code: 'HANDOVER_USAGE',
    message: /listener "alone" is declared already/,
  })
  await t.rejects(dgram(runtime, other, { name: 'taken', port, host: '127.0.0.1' }), {
    code: 'HANDOVER_LISTEN_REFUSED',
    message: /UDP socket "taken": .*EADDRINUSE/,
  })
  other.close()
  socket.close()
})

t.test('what it cannot be given', async (t) => {
  const bound = open().bind(0, '127.0.0.1')
  await once(bound, 'listening')
  const closed = open()
  closed.close()
  const usage = (message: RegExp) => ({ code: 'HANDOVER_USAGE', message })
  await t.rejects(dgram(runtime, bound, { name: 'a', port: 0 }), usage(/UDP socket "a": it is bound already/))
  await t.rejects(dgram(runtime, closed, { name: 'a', port: 0 }), usage(/UDP socket "a": it is closed already/))
  const socket = open()
  for (const port of [-1, 65_536, '53', undefined])
    await t.rejects(dgram(runtime, socket, { name: 'a', port: port as number }), usage(/port must be 0 to 65535/))
  await t.rejects(
    dgram({} as Runtime, socket, { name: 'a', port: 0 }),
    usage(/needs the runtime that join\(\) returned/),
  )
  await t.rejects(dgram(runtime, createServer() as never, { name: 'a', port: 0 }), usage(/takes a socket of dgram/))
  for (const one of [bound, socket]) one.close()
})

t.test('calls wait, go in order, and what fails is an error event', async (t) => {
  const socket = open()
  const done: string[] = []
  const names = Object.getOwnPropertyNames(socket)
  const calls = new HeldCalls(socket)
  t.equal(socket.setTTL(7), 7)
  t.equal(socket.setMulticastLoopback(true), true)
  t.equal(socket.setBroadcast(true), undefined)
  // As a tracer of calls would.
  const held = socket.send.bind(socket) as (...args: unknown[]) => void
  socket.send = ((...args: unknown[]) => {
    done.push(`traced ${args[0]}`)
    held(...args)
  }) as typeof socket.send
  socket.send('early', 9, '127.0.0.1')
  t.same(done, ['traced early'])
  const failed: unknown[] = []
  socket.on('error', ({ syscall }: NodeJS.ErrnoException) => failed.push(syscall))
  calls.release()
  t.same(
    Object.getOwnPropertyNames(socket),
    [...names, 'send'],
    'but for what the app has put there, it is as it was before',
  )
  // Not bound: the first three are refused by the kernel, each for itself.
  calls.run()
  await until(() => failed.length >= 3, 'three errors')
  t.same(failed, ['setTTL', 'setMulticastLoopback', 'setBroadcast'])
  await new Promise<void>((resolve) => socket.close(() => resolve()))
})

t.test('joining a group: twice is an error, after another process it is none', async (t) => {
  const [first, second] = [open(), open()]
  first.bind(0, '0.0.0.0')
  await once(first, 'listening')
  const group = ['239.255.70.9', '127.0.0.1'] as const
  first.addMembership(...group)
  inheritMemberships(first)
  t.doesNotThrow(() => first.addMembership(...group), 'it was joined before')
  t.throws(() => first.addMembership(...group), { code: 'EADDRINUSE' })
  first.dropMembership(...group)
  t.doesNotThrow(() => first.addMembership(...group))
  t.throws(() => first.addMembership('127.0.0.1'), { code: 'EINVAL' }, 'what else is wrong is said')
  for (const one of [first, second]) one.close()
})
