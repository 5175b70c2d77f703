import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { type ListenerSpec, Listeners } from '../../src/supervisor/listeners.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorSorts } from '../harness/census.js'

const spec = (more: Partial<ListenerSpec> = {}): ListenerSpec => ({
  name: 'web',
  host: '127.0.0.1',
  port: 0,
  backlog: 511,
  ...more,
})
const sockets = (): number => descriptorSorts(process.pid)['socket'] ?? 0
const cookieOf = (descriptor: number): string => binding().socketCookie(descriptor).toString()

t.test('the same name and address: the same socket in every generation', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  const first = await listeners.provide(1, spec())
  const cookie = cookieOf(first)
  t.equal(await listeners.provide(1, spec()), first, 'also when one generation asks twice')
  listeners.commit(1, [{ name: 'web', cookie, port: 4321 }])
  t.same(listeners.list(), [{ name: 'web', address: '127.0.0.1:4321', cookie }])
  t.equal(await listeners.provide(2, spec()), first, 'port 0 means the one there is')
  t.equal(await listeners.provide(3, spec({ port: 4321 })), first, 'as does the port it got')
  listeners.abort(3)
  t.equal(sockets(), before + 1, 'an abort closes nothing that serves')
  listeners.commit(2, [{ name: 'web', cookie, port: 4321 }])
  t.equal(cookieOf(first), cookie)
  listeners.closeAll()
  t.equal(sockets(), before)
})

t.test('another address: another socket, and the one that is not used any more is closed', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  const first = await listeners.provide(1, spec())
  listeners.commit(1, [{ name: 'web', cookie: cookieOf(first), port: 4321 }])
  const second = await listeners.provide(2, spec({ host: '127.0.0.2' }))
  t.not(second, first)
  t.equal(sockets(), before + 2)
  listeners.abort(2)
  t.equal(sockets(), before + 1, 'aborted: the new one is closed')
  const third = await listeners.provide(3, spec({ host: '127.0.0.2' }))
  listeners.commit(3, [{ name: 'web', cookie: cookieOf(third), port: 1 }])
  t.equal(sockets(), before + 1, 'committed: the old one is closed')
  await listeners.provide(4, spec({ name: 'other' }))
  listeners.commit(4, [])
  t.same(
    listeners.list().map(({ name }) => name),
    ['other'],
    'what the next generation did not ask for is gone',
  )
  t.equal(sockets(), before + 1)
  listeners.closeAll()
  t.equal(sockets(), before)
})

t.test('one generation that asks for a name at two addresses keeps the last', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  await listeners.provide(1, spec())
  await listeners.provide(1, spec({ host: '127.0.0.2' }))
  t.equal(sockets(), before + 1)
  listeners.closeAll()
  t.equal(sockets(), before)
})

t.test('a host name is looked up; a generation that is gone by then keeps nothing', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  const given = await listeners.provide(1, spec({ host: 'localhost' }))
  t.equal(sockets(), before + 1)
  t.type(given, 'number')
  listeners.abort(1)
  const pending = listeners.provide(2, spec({ host: 'localhost' }))
  listeners.abort(2)
  await t.rejects(pending, /the process is gone/)
  t.equal(sockets(), before)
  const late = listeners.provide(3, spec({ host: 'localhost' }))
  listeners.closeAll()
  await t.rejects(late, /the process is gone/)
  t.equal(sockets(), before)
})

t.test('what cannot be had', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const before = sockets()
  const listeners = new Listeners()
  await t.rejects(listeners.provide(1, spec({ port })), /listener "web" on 127.0.0.1:\d+: .*EADDRINUSE/)
  await t.rejects(listeners.provide(1, spec({ host: '192.0.2.1' })), /listener "web" on 192.0.2.1:0: .*EADDRNOTAVAIL/)
  await t.rejects(listeners.provide(1, spec({ host: 'no-such-host.invalid' })), /no-such-host.invalid/)
  t.equal(sockets(), before)
  taken.close()
})

t.test('no host: all addresses', async (t) => {
  const listeners = new Listeners()
  const descriptor = await listeners.provide(1, spec({ host: null }))
  listeners.commit(1, [{ name: 'web', cookie: cookieOf(descriptor), port: 80 }])
  t.equal(listeners.list()[0]?.address, '*:80')
  listeners.closeAll()
})
