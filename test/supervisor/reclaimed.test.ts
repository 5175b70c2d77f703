/** Listening sockets that come back from processes, and those that stay open over an execve(2): each is one socket, whoever names it. */
import t from 'tap'
import type { ListenerSpec } from '../../src/supervisor/bound.js'
import { Listeners } from '../../src/supervisor/listeners.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorSorts } from '../harness/census.js'

const spec = (more: Partial<ListenerSpec> = {}): ListenerSpec => ({
  name: 'web',
  host: null,
  port: 0,
  backlog: 1,
  ...more,
})
const sockets = (): number => descriptorSorts(process.pid)['socket'] ?? 0
const cookieOf = (descriptor: number): string => binding().socketCookie(descriptor).toString()
const listening = () => binding().listenTcp('127.0.0.1', 0, 1, false)
const portOf = (descriptor: number): number => binding().socketName(descriptor).port

t.test('two workers give back the same socket: it is one', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  const fd = listening()
  const [cookie, port] = [cookieOf(fd), portOf(fd)]
  for (const start of [1, 2]) listeners.reclaim(start, spec(), binding().duplicate(fd))
  binding().close(fd)
  t.equal(sockets(), before + 1)
  for (const start of [1, 2]) listeners.commit(start, [{ name: 'web', cookie, port }], start - 1)
  t.match(listeners.list(), [{ name: 'web', cookie }])
  t.equal(cookieOf(await listeners.provide(3, spec())), cookie, 'the next process gets it')
  listeners.abort(3)
  listeners.retire(0)
  t.equal(sockets(), before + 1)
  listeners.retire(1)
  t.equal(sockets(), before)
})

t.test('one of a socket unit, of a store, or of the command line is not doubled', async (t) => {
  const before = sockets()
  const unit = listening()
  const stored = listening()
  const both = [unit, stored].map((fd) => binding().duplicate(fd))
  const keep = { take: () => [{ name: 'stored', descriptor: stored }], keep: t.fail, forget: () => undefined }
  const listeners = new Listeners(keep as never)
  listeners.inherit([{ name: 'unit', descriptor: unit }])
  listeners.reclaim(1, spec({ name: 'unit' }), both[0]!)
  listeners.reclaim(1, spec({ name: 'stored' }), both[1]!)
  t.equal(sockets(), before + 2)
  listeners.commit(1, [])
  listeners.settle()
  t.equal(sockets(), before + 2, 'what serves stays')
  listeners.closeAll()
  t.equal(sockets(), before)
})

t.test('one that --listen asks for by its address is the one that came back', async (t) => {
  const listeners = new Listeners()
  const fd = listening()
  const [cookie, port] = [cookieOf(fd), portOf(fd)]
  listeners.reclaim(1, spec(), fd)
  await listeners.open([spec({ host: '127.0.0.1', port })])
  t.equal(cookieOf(listeners.passed()[0]!.descriptor), cookie)
  listeners.closeAll()
})

t.test('what is no socket is closed, and nothing else', async (t) => {
  const before = sockets()
  const listeners = new Listeners()
  listeners.reclaim(1, spec(), binding().memfd('no socket'))
  t.equal(listeners.list().length, 0)
  t.equal(sockets(), before)
})

t.test('over an execve: what is carried is there again, those of socket units as such', async (t) => {
  const before = sockets()
  const first = new Listeners()
  const unit = listening()
  first.inherit([{ name: 'unit', descriptor: unit }])
  const own = await first.provide(1, spec({ name: 'own', host: '127.0.0.1' }))
  first.commit(1, [])
  const carried = first.carried()
  t.match(carried, [
    { name: 'unit', descriptor: unit, isInherited: true },
    { name: 'own', descriptor: own, isInherited: false },
  ])
  // The same process goes on with the same numbers; here they are duplicated in place of that.
  const again = carried.map((each) => ({ ...each, descriptor: binding().duplicate(each.descriptor) }))
  const second = new Listeners(
    undefined,
    again.filter(({ isInherited }) => !isInherited),
  )
  second.inherit(again.filter(({ isInherited }) => isInherited))
  second.reclaim(1, spec({ name: 'own', host: '127.0.0.1' }), binding().duplicate(own))
  t.equal(sockets(), before + 4)
  second.commit(1, [])
  second.settle()
  t.same(
    second.carried().map(({ isInherited }) => isInherited),
    [true, false],
  )
  first.closeAll()
  second.closeAll()
  t.equal(sockets(), before)
})
