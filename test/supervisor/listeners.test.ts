import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, type Stats, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { ListenerSpec } from '../../src/supervisor/bound.js'
import { Listeners } from '../../src/supervisor/listeners.js'
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

t.test('UDP: the same name, type and address', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  const udp = (more: Partial<ListenerSpec> = {}) => spec({ name: 'dns', type: 'udp4', ...more })
  const first = await listeners.provide(1, udp())
  const cookie = cookieOf(first)
  listeners.commit(1, [{ name: 'dns', cookie, port: 5353 }])
  t.same(listeners.list(), [{ name: 'dns', address: '127.0.0.1:5353/udp', cookie }])
  t.equal(await listeners.provide(2, udp({ port: 5353 })), first)
  t.not(await listeners.provide(3, spec({ name: 'dns', port: 0 })), first, 'TCP is another socket')
  listeners.abort(3)
  listeners.commit(2, [])
  t.equal(sockets(), before + 1)
  const taken = createSocket('udp4').bind(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address()
  await t.rejects(
    listeners.provide(4, udp({ name: 'other', port })),
    /listener "other" on 127.0.0.1:\d+\/udp: .*EADDRINUSE/,
  )
  taken.close()
  await t.rejects(listeners.provide(4, udp({ name: 'other', host: '::1' })), /::1 is no address of a udp4 socket/)
  listeners.closeAll()
  t.equal(sockets(), before)
})

function place(t: { teardown(run: () => void): void }): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'handover-listeners-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}
const at = (path: string): Stats | undefined => lstatSync(path, { throwIfNoEntry: false })
const unix = (path: string, more: Partial<ListenerSpec> = {}): ListenerSpec =>
  spec({ host: null, type: 'unix', path, ...more })

t.test('a path goes with the last generation that asks for it', async (t) => {
  const before = sockets()
  const path = place(t)
  const listeners = new Listeners()
  const first = await listeners.provide(1, unix(path('a'), { mode: 0o600 }))
  listeners.commit(1, [{ name: 'web', cookie: cookieOf(first), port: 0 }])
  t.match(listeners.list(), [{ name: 'web', address: path('a') }])
  t.equal(at(path('a'))!.mode & 0o777, 0o600)
  t.equal(await listeners.provide(2, unix(path('a'), { mode: 0o640 })), first)
  listeners.abort(2)
  t.equal(at(path('a'))!.mode & 0o777, 0o600, 'aborted: as it was')
  await listeners.provide(3, unix(path('a'), { mode: 0o640 }))
  listeners.commit(3, [])
  t.equal(at(path('a'))!.mode & 0o777, 0o640)
  chmodSync(path('a'), 0o666)
  await listeners.provide(4, unix(path('a'), { mode: 0o640 }))
  listeners.commit(4, [])
  t.equal(at(path('a'))!.mode & 0o777, 0o666, 'what it has been given since stays')
  await listeners.provide(5, unix(path('a'), { mode: 0o600 }))
  listeners.commit(5, [])
  t.equal(at(path('a'))!.mode & 0o777, 0o600)
  await listeners.provide(6, unix(path('b')))
  t.ok(at(path('b')))
  listeners.abort(6)
  t.equal(at(path('b')), undefined, 'aborted: gone')
  await listeners.provide(7, unix(path('b')))
  listeners.commit(7, [])
  t.equal(at(path('a')), undefined, 'committed: the old one is gone')
  listeners.closeAll()
  t.equal(at(path('b')), undefined)
  t.equal(sockets(), before)
})

t.test('another socket at the same path is not removed', async (t) => {
  const path = place(t)
  const listeners = new Listeners()
  await listeners.provide(1, unix(path('a')))
  renameSync(path('a'), path('moved'))
  writeFileSync(path('a'), 'precious')
  listeners.closeAll()
  t.ok(at(path('a'))?.isFile())
  t.ok(at(path('moved'))?.isSocket())
})

t.test('a path somebody answers on is refused, one nobody does is taken over', async (t) => {
  const path = place(t)
  const [one, other] = [new Listeners(), new Listeners()]
  const descriptor = await one.provide(1, unix(path('a')))
  await t.rejects(other.provide(1, unix(path('a'))), /listener "web" on .*: another process listens there/)
  renameSync(path('a'), path('stale'))
  binding().close(descriptor)
  const { ctimeMs } = at(path('stale'))!
  await other.provide(1, unix(path('stale')))
  t.not(at(path('stale'))!.ctimeMs, ctimeMs)
  const client = connect(path('stale'))
  await once(client, 'connect')
  client.destroy()
  other.closeAll()
  t.equal(at(path('stale')), undefined)
})
