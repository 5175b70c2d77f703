/** Real sockets, held and then parked: to the app they must look like any other. The oracle is the socket Node has made. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import net, { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import type { HeldSocket } from '../../src/adapters/net/held.js'
import { netTransport } from '../../src/adapters/net.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf, writesInFlight } from '../../src/sys/node-internals.js'
import { Parking } from '../../src/sys/parking.js'
import { until, within } from '../harness/timeout.js'
import { openDescriptors } from './descriptors.js'

const b = binding()
const ignore = () => undefined
const turn = () => new Promise((resolve) => setImmediate(resolve))

interface World {
  readonly client: Socket
  /** The predecessor's socket. Nobody reads it but by `setUp`. */
  readonly before: Socket
  readonly parking: Parking
  /** Moves it: held from then on. */
  adopt(prepared?: boolean): HeldSocket
  live(): void
}

let paths = 0

async function world(t: Test, type: 'TCP' | 'Pipe' = 'TCP', allowHalfOpen = false): Promise<World> {
  const path = `\0handover-adopted-${process.pid}-${++paths}`
  const server = createServer({ allowHalfOpen })
  if (type === 'TCP') server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  const client = type === 'TCP' ? connect((server.address() as AddressInfo).port, '127.0.0.1') : connect(path)
  client.on('error', ignore)
  const [before] = (await once(server, 'connection')) as [Socket]
  server.close()
  netTransport.attach(before)
  const parking = new Parking()
  const adopted: HeldSocket[] = []
  t.teardown(async () => {
    for (const one of adopted) one.discard()
    before.destroy()
    client.destroy()
    parking.close()
  })
  return {
    client,
    before,
    parking,
    adopt(prepared = true) {
      const freeze = netTransport.beginFreeze()
      const { descriptor, described } = freeze.describe(before)
      const one = netTransport.adopt(b.duplicate(descriptor), described, parking) as HeldSocket
      adopted.push(one)
      freeze.abandon(before)
      if (prepared) one.prepare()
      return one
    },
    live: () => parking.goLive(ignore),
  }
}

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

/** Each is done right after commit, to a socket nobody has used; what it brings is compared with what it brings plainly. */
const USES: Record<string, (socket: Socket, client: Socket) => unknown> = {
  read: async (socket, client) => {
    client.write('one')
    await until(() => b.queueSizes(descriptorOf(socket)!).receive > 0 || socket.readableLength > 0, 'the bytes')
    socket.read(0)
    await until(() => socket.readableLength === 3, 'the bytes')
    return String(socket.read())
  },
  'on data': async (socket, client) => {
    client.write('one')
    return String((await once(socket, 'data'))[0])
  },
  'on readable': async (socket, client) => {
    client.write('one')
    await once(socket, 'readable')
    return String(socket.read())
  },
  'async iteration': async (socket, client) => {
    client.end('one')
    let all = ''
    for await (const bytes of socket) all += String(bytes)
    return all
  },
  toArray: async (socket, client) => {
    client.end('one')
    return Buffer.concat(await socket.toArray()).toString()
  },
  'pipe out': async (socket, client) => {
    const into = new PassThrough()
    socket.pipe(into)
    client.write('one')
    return String((await once(into, 'data'))[0])
  },
  'pipe in': async (socket, client) => {
    const from = new PassThrough()
    from.pipe(socket)
    from.write('one')
    return String((await once(client, 'data'))[0])
  },
  setEncoding: async (socket, client) => {
    socket.setEncoding('latin1')
    client.write('one')
    return (await once(socket, 'data'))[0]
  },
  unshift: async (socket, client) => {
    socket.unshift(Buffer.from('before '))
    client.write('one')
    let all = ''
    socket.on('data', (bytes) => {
      all += String(bytes)
    })
    await until(
      () => all.length === 10,
      () => all,
    )
    return all
  },
  'pause, resume': async (socket, client) => {
    socket.on('data', ignore)
    socket.pause()
    socket.resume()
    client.write('one')
    return String((await once(socket, 'data'))[0])
  },
  write: async (socket, client) => {
    const callback = new Promise((resolve) => socket.write('one', resolve))
    const [bytes] = await once(client, 'data')
    return [String(bytes), await callback, socket.bytesWritten]
  },
  'write a string in an encoding': async (socket, client) => {
    socket.write('6f6e65', 'hex')
    return String((await once(client, 'data'))[0])
  },
  setDefaultEncoding: async (socket, client) => {
    socket.setDefaultEncoding('hex')
    socket.write('6f6e65')
    return String((await once(client, 'data'))[0])
  },
  'cork, uncork': async (socket, client) => {
    socket.cork()
    socket.write('one')
    socket.write('two')
    socket.uncork()
    return String((await once(client, 'data'))[0])
  },
  end: async (socket, client) => {
    socket.end('one')
    client.resume()
    await once(client, 'end')
    return [socket.writableEnded, socket.readable]
  },
  destroySoon: async (socket, client) => {
    client.resume()
    socket.destroySoon()
    const [hadError] = await once(socket, 'close')
    return [hadError, socket.readyState]
  },
  destroy: async (socket, client) => {
    client.resume()
    socket.destroy()
    const [hadError] = await once(socket, 'close')
    return [hadError, socket.destroyed, socket.closed, socket.readyState]
  },
  'destroy with an error': async (socket) => {
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error.message))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.destroy(new Error('broken'))
    return [await closed, errors, socket.errored?.message]
  },
  resetAndDestroy: async (socket, client) => {
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => client.once('error', resolve))
    client.resume()
    socket.resetAndDestroy()
    return [(await once(socket, 'close'))[0], (await failed).code]
  },
  setTimeout: async (socket) => {
    socket.setTimeout(20)
    await once(socket, 'timeout')
    return socket.timeout
  },
  'options, as the kernel has them': async (socket) => {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 7000)
    const set = b.socketOptions(descriptorOf(socket)!)
    socket.setNoDelay(false)
    socket.setKeepAlive(false)
    return [set, b.socketOptions(descriptorOf(socket)!)]
  },
  'ref, unref': async (socket) => {
    const { _handle } = socket as unknown as { _handle: { hasRef(): boolean } }
    const before = _handle.hasRef()
    socket.unref()
    await turn()
    const after = (socket as unknown as { _handle: { hasRef(): boolean } })._handle.hasRef()
    socket.ref()
    return [before, after, _handle.hasRef()]
  },
  "the client's end": async (socket, client) => {
    socket.resume()
    client.end()
    await once(socket, 'end')
    await once(socket, 'close')
    return [socket.readableEnded, socket.writableFinished, socket.destroyed]
  },
  inspect: (socket) => Object.prototype.toString.call(socket),
}

for (const type of ['TCP', 'Pipe'] as const) {
  t.test(`${type}: used right after commit it does what a plain one does`, async (t) => {
    for (const [name, use] of Object.entries(USES)) {
      if (type === 'Pipe' && name === 'resetAndDestroy') continue
      const plain = await world(t, type)
      const other = await world(t, type)
      const { socket } = other.adopt()
      other.live()
      const expected = await within(Promise.resolve(use(plain.before, plain.client)), `${name}, plainly`)
      t.same(await within(Promise.resolve(use(socket, other.client)), name), expected, name)
    }
  })
}

t.test('a Pipe cannot be reset, held or not', async (t) => {
  const { before, adopt, live } = await world(t, 'Pipe')
  t.throws(() => before.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' })
  const { socket } = adopt()
  t.throws(() => socket.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' }, 'held')
  live()
  t.throws(() => socket.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' }, 'parked')
})

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
  { skip: !('setTypeOfService' in net.Socket.prototype) },
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
