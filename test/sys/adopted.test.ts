/** Real sockets, held and then parked: to the app they must look like any other. The oracle is the socket Node has made. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import t from 'tap'
import type { HeldSocket } from '../../src/adapters/net/held.js'
import { netTransport } from '../../src/adapters/net.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf, writesInFlight } from '../../src/sys/node-internals.js'
import { until } from '../harness/timeout.js'
import { openDescriptors } from './descriptors.js'
import { world } from './world.js'

const b = binding()
const ignore = () => undefined
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What an app may ask, and what does not wake. */
const look = (socket: Socket) => ({
  isSocket: socket instanceof net.Socket,
  constructor: socket.constructor,
  address: socket.address(),
  local: [socket.localAddress, socket.localPort, socket.localFamily],
  remote: [socket.remoteAddress, socket.remotePort, socket.remoteFamily],
  bytes: [socket.bytesRead, socket.bytesWritten],
  timeout: socket.timeout,
  destroyed: socket.destroyed,
  errored: socket.errored,
  closed: socket.closed,
  readable: [socket.readable, socket.readableEnded, socket.readableAborted, socket.readableLength],
  writable: [socket.writable, socket.writableEnded, socket.writableFinished, socket.writableLength],
  corked: [socket.writableCorked, socket.writableNeedDrain, socket.bufferSize],
  encoding: socket.readableEncoding,
  allowHalfOpen: socket.allowHalfOpen,
  limits: [socket.readableHighWaterMark, socket.writableHighWaterMark],
  events: socket.eventNames().filter((name) => name !== 'error'),
})

for (const type of ['TCP', 'Pipe'] as const) {
  t.test(`${type}: held, parked and released it shows what it showed`, async (t) => {
    for (const setUp of [
      ignore,
      (socket: Socket) => socket.setTimeout(60_000),
      (socket: Socket) => socket.setNoDelay(true).setKeepAlive(true, 5000),
      (socket: Socket) => {
        socket.allowHalfOpen = true
      },
    ]) {
      const { before, adopt, live } = await world(t, type)
      setUp(before)
      const expected = look(before)
      const { socket } = adopt()
      t.same(look(socket), expected, 'held')
      t.match(socket, { connecting: true, pending: true, readyState: 'opening' })
      live()
      t.same(look(socket), expected, 'parked')
      t.match(socket, { connecting: false, pending: false, readyState: 'open' }, 'asked, it wakes')
      t.same(look(socket), expected, 'released')
    }
  })
}

/** Each is done right after commit, to a socket nobody has used; what it brings is compared with what it brings plainly. */ t.test(
  'a Pipe cannot be reset, held or not',
  async (t) => {
    const { before, adopt, live } = await world(t, 'Pipe')
    t.throws(() => before.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' })
    const { socket } = adopt()
    t.throws(() => socket.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' }, 'held')
    live()
    t.throws(() => socket.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' }, 'parked')
  },
)

t.test('what restore sets is told to the kernel at commit, and never when it is aborted', async (t) => {
  for (const isAborted of [false, true]) {
    const { before, adopt, live } = await world(t)
    const spare = b.duplicate(descriptorOf(before)!)
    t.teardown(() => b.close(spare))
    const held = adopt()
    // Both give it its handle, which must not make a difference.
    held.attach()
    t.ok(held.socket.localPort)
    held.socket.setNoDelay(true).setKeepAlive(true, 9000)
    t.match(b.socketOptions(spare), { noDelay: false, keepAlive: false }, 'before commit')
    if (isAborted) held.discard()
    else live()
    if (!isAborted) t.equal(held.socket.connecting, false)
    t.match(
      b.socketOptions(spare),
      isAborted ? { noDelay: false, keepAlive: false } : { noDelay: true, keepAlive: true, keepAliveIdleSeconds: 9 },
    )
  }
})

interface ByteOfService {
  setTypeOfService(tos: number): void
  getTypeOfService(): number
}
t.test(
  'the type of service, where this Node has it',
  { skip: !('setTypeOfService' in net.Socket.prototype) && 'this Node has no setTypeOfService (26 has)' },
  async (t) => {
    const { before, adopt, live } = await world(t)
    ;(before as unknown as ByteOfService).setTypeOfService(8)
    const socket = adopt().socket as unknown as Socket & ByteOfService
    t.equal(socket.getTypeOfService(), 8)
    socket.setTypeOfService(16)
    t.equal(socket.getTypeOfService(), 16)
    live()
    t.equal(socket.connecting, false)
    t.equal(socket.getTypeOfService(), 16)
  },
)

t.test('unref() moves with it, and ref() in restore has the last word', async (t) => {
  const hasRef = (socket: Socket) => (socket as unknown as { _handle: { hasRef(): boolean } })._handle.hasRef()
  for (const [restore, expected] of [
    [ignore, false],
    [(socket: Socket) => socket.ref(), true],
  ] as const) {
    const { before, adopt, live } = await world(t)
    before.unref()
    const { socket } = adopt()
    restore(socket)
    live()
    t.equal(socket.connecting, false)
    t.equal(hasRef(socket), expected)
  }
})

t.test('timeouts that Node takes: fractions, and what it has kept of those it does not', async (t) => {
  for (const [set, expected] of [
    [60_000.5, 60_000.5],
    [2 ** 31 - 2, 2 ** 31 - 2],
    [-1, undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ] as const) {
    const { before, adopt, live } = await world(t)
    try {
      before.setTimeout(set)
    } catch {
      t.equal(before.timeout, set, 'kept though refused')
    }
    before.setKeepAlive(true, -5000)
    const { socket } = adopt()
    t.equal(socket.timeout, expected)
    live()
    t.equal(socket.connecting, false)
    t.equal(socket.timeout, expected)
  }
})

t.test('setTimeout() after commit begins anew', async (t) => {
  const { before, adopt, live } = await world(t)
  before.setTimeout(40)
  await once(before, 'timeout')
  const { socket } = adopt()
  live()
  socket.setTimeout(40)
  await once(socket, 'timeout')
  t.pass('it had fired, and was not to fire again before the next activity')
})

t.test('what it brings belongs to no request that happens to use it first', async (t) => {
  const { before, client, adopt, live } = await world(t)
  before.setTimeout(30)
  const store = new AsyncLocalStorage<string>()
  const { socket } = adopt()
  const seen: unknown[] = []
  socket.on('connect', () => seen.push(store.getStore()))
  socket.on('data', () => seen.push(store.getStore()))
  socket.on('timeout', () => seen.push(store.getStore()))
  live()
  store.run('a request', () => socket.write('x'))
  client.write('x')
  await until(
    () => seen.length >= 3,
    () => String(seen),
  )
  t.same([...new Set(seen)], [undefined])
})

t.test('the pause of a pipe does not move: nobody would end it', async (t) => {
  const { before, client, adopt, live } = await world(t)
  before.pipe(new PassThrough({ highWaterMark: 1 }))
  client.write('much')
  await until(() => before.isPaused(), 'the pause')
  const { socket } = adopt()
  t.equal(socket.isPaused(), false)
  live()
  client.write('more')
  t.equal(String((await once(socket, 'data'))[0]), 'more')
})

t.test('capture may read, write and pause: what it has done moves', async (t) => {
  const { before, client, adopt, live } = await world(t)
  client.pause()
  before.write('x')
  const freeze = netTransport.beginFreeze()
  const big = Buffer.alloc(20_000_000, 'y')
  before.write(big)
  t.doesNotThrow(() => freeze.describe(before), 'written since the freeze began')
  const { socket } = adopt()
  live()
  let received = 0
  client.on('data', (bytes: Buffer) => {
    received += bytes.length
  })
  client.resume()
  await until(
    () => received === big.length + 1,
    () => `${received}`,
  )
  t.equal(socket.bytesWritten, big.length + 1)
})

t.test('output of restore, when the predecessor has sent its FIN meanwhile: the other half stays open', async (t) => {
  const { before, client, parking, live } = await world(t, 'TCP', true)
  const first = netTransport.describe(before)
  const held = netTransport.adopt(b.duplicate(first.descriptor), first.described, parking) as HeldSocket
  held.prepare()
  held.socket.on('error', (error) => t.fail(error.message)).on('close', ignore)
  held.socket.write('too late')
  before.end()
  await once(before, 'finish')
  const freeze = netTransport.beginFreeze()
  held.update(freeze.describe(before).described, true)
  freeze.abandon(before)
  live()
  client.write('still open')
  t.equal(String((await once(held.socket, 'data'))[0]), 'still open')
  held.socket.destroy()
})

t.test(
  'a socket that is destroyed, dropped or aborted leaves no descriptor and says nothing it should not',
  async (t) => {
    const silent = (socket: Socket, told: string[]): Socket => {
      for (const event of ['close', 'end', 'finish', 'connect', 'error', 'timeout'])
        socket.on(event, () => told.push(event))
      socket.write('one', () => told.push('written'))
      socket.write('two', () => told.push('written'))
      socket.end(() => told.push('ended'))
      return socket
    }
    for (const isAttached of [false, true]) {
      for (const way of ['discard', 'destroy', 'replaced destroy'] as const) {
        const { adopt, before: first } = await world(t)
        // Kept open: the client, in this process, would close its end as well.
        const spare = b.duplicate(descriptorOf(first)!)
        t.teardown(() => b.close(spare))
        const held = adopt()
        const before = openDescriptors()
        if (isAttached) held.attach()
        const told: string[] = []
        const socket = silent(held.socket, told)
        if (way === 'replaced destroy')
          socket.destroy = () => {
            socket.write('goodbye')
            return socket
          }
        if (way === 'destroy') socket.destroy()
        else held.discard()
        await until(() => openDescriptors() === before - 1, `${way}, attached ${isAttached}`)
        if (way === 'destroy') await until(() => told.includes('close'), 'close')
        else await turn()
        if (way === 'destroy') t.notOk(told.includes('connect'))
        else t.same(told, [], way)
        held.discard()
        t.equal(openDescriptors(), before - 1, 'once')
      }
    }
  },
)

t.test('a listener of removeListener that throws does not keep a socket from being let go', async (t) => {
  const { before } = await world(t)
  const spare = descriptorOf(before)
  before.on('removeListener', () => {
    throw new Error('removed')
  })
  const freeze = netTransport.beginFreeze()
  t.doesNotThrow(() => freeze.abandon(before))
  t.ok(before.destroyed)
  t.type(spare, 'number')
  t.type(writesInFlight(), Map)
})

t.test('a descriptor that is no socket is refused, and closed', async (t) => {
  const { before, parking } = await world(t)
  const { described } = netTransport.describe(before)
  const count = openDescriptors()
  const memfd = b.memfd('no socket')
  t.throws(() => netTransport.adopt(memfd, described, parking))
  const set = b.epollSet()
  t.throws(() => netTransport.adopt(set, described, parking), 'one that epoll would take')
  t.equal(openDescriptors(), count)
})
