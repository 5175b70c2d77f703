import { once } from 'node:events'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf } from '../../src/sys/node-internals.js'
import { until, within } from '../harness/timeout.js'
import { world } from './world.js'

const b = binding()
const ignore = () => undefined
const turn = () => new Promise((resolve) => setImmediate(resolve))

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
