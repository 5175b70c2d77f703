/** What the supervisor says to a service manager, by a socket that stands for it; unit files as text. */

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { boundFrom } from '../../src/supervisor/kept.js'
import { Listeners } from '../../src/supervisor/listeners.js'
import { managerOf } from '../../src/supervisor/systemd/manager.js'
import { NotifyClient } from '../../src/supervisor/systemd/notify-client.js'
import { listenerStore, SystemdStore } from '../../src/supervisor/systemd/store.js'
import { quoted, serviceUnit, socketUnits } from '../../src/supervisor/systemd/unit.js'
import { binding } from '../../src/sys/binding.js'
import { closeAll } from '../../src/sys/channel.js'
import { openDescriptors } from '../sys/descriptors.js'

const b = binding()

/** The manager's end, and what has come there. */
function manager(name: string) {
  const socket = b.bindNotify(name)
  const into = Buffer.alloc(4096)
  const next = () => {
    const received = b.receive(socket, into)
    return received && { text: into.subarray(0, received.bytes).toString(), descriptors: received.descriptors }
  }
  return { address: `@${name}`, next, close: () => b.close(socket) }
}

t.test('a message is lines of NAME=VALUE, with descriptors', async (t) => {
  const fake = manager(`handover-test-${process.pid}-say`)
  const client = new NotifyClient(fake.address)
  t.equal(client.say({ READY: 1, STATUS: 'all is well' }), true)
  t.same(fake.next(), { text: 'READY=1\nSTATUS=all is well', descriptors: [] })
  const memfd = b.memfd('one')
  client.say({ FDSTORE: 1, FDNAME: 'x', FDPOLL: 0 }, [memfd])
  const stored = fake.next()
  t.equal(stored?.text, 'FDSTORE=1\nFDNAME=x\nFDPOLL=0')
  t.equal(stored?.descriptors.length, 1)
  closeAll([memfd, ...(stored?.descriptors ?? [])])
  client.close()
  fake.close()
})

t.test('a manager that is not there, or has gone, is no failure of the service', async (t) => {
  const name = `handover-test-${process.pid}-gone`
  const client = new NotifyClient(`@${name}`)
  t.equal(client.say({ READY: 1 }), false)
  const first = manager(name)
  t.equal(client.say({ READY: 1 }), true)
  first.close()
  t.equal(client.say({ READY: 1 }), false)
  const second = manager(name)
  t.equal(client.say({ STATUS: 'again' }), true, 'it has executed itself anew')
  t.equal(second.next()?.text, 'STATUS=again')
  second.close()
  client.close()
  t.equal(new NotifyClient(`/${'x'.repeat(108)}`).say({ READY: 1 }), false, 'a path no socket can have')
})

t.test('a barrier ends when the manager comes to it', async (t) => {
  const fake = manager(`handover-test-${process.pid}-barrier`)
  const client = new NotifyClient(fake.address)
  const done = client.barrier(60_000)
  const message = fake.next()
  t.equal(message?.text, 'BARRIER=1')
  closeAll(message?.descriptors ?? [])
  t.equal(await done, true)
  t.equal(await client.barrier(1), false, 'and is given up when it does not')
  closeAll(fake.next()?.descriptors ?? [])
  client.close()
  fake.close()
  t.equal(await client.barrier(60_000), false, 'or is not there')
})

t.test('listening sockets go into the store, and come back to the next supervisor', async (t) => {
  const before = openDescriptors()
  const fake = manager(`handover-test-${process.pid}-store`)
  const client = new NotifyClient(fake.address)
  const first = new Listeners(listenerStore(new SystemdStore(client, [])))
  const spec = { name: 'http: 1', host: '127.0.0.1', port: 0, backlog: 5 }
  const descriptor = await first.provide(1, spec)
  const cookie = b.socketCookie(descriptor)
  const { port } = b.socketName(descriptor)
  const kept = fake.next()
  t.equal(kept?.text, `FDSTORE=1\nFDNAME=handover.listen.${cookie}.http%3A%201\nFDPOLL=0`)
  first.closeAll()
  t.equal(fake.next(), undefined, 'the end of the supervisor takes nothing out')

  const passed = [{ name: `handover.listen.${cookie}.http%3A%201`, descriptor: kept?.descriptors[0] as number }]
  const second = new Listeners(listenerStore(new SystemdStore(client, passed)))
  t.equal(b.socketCookie(await second.provide(1, { ...spec, port })), cookie, 'the same socket')
  second.abort(1)
  t.equal(fake.next(), undefined, 'who asked for it has crashed: the next one may ask for it')
  t.equal(b.socketCookie(await second.provide(2, { ...spec, port })), cookie)
  second.commit(2, [])
  second.settle()
  t.equal(fake.next(), undefined)
  second.commit(3, [])
  t.equal(
    fake.next()?.text,
    `FDSTOREREMOVE=1\nFDNAME=handover.listen.${cookie}.http%3A%201`,
    'nobody wants it any more',
  )
  second.closeAll()

  const third = new Listeners(listenerStore(new SystemdStore(client, [])))
  const other = await third.provide(1, { ...spec, port: 0 })
  const stored = fake.next()
  t.match(stored?.text, /^FDSTORE/)
  closeAll(stored?.descriptors ?? [])
  third.abort(1)
  t.throws(() => b.socketCookie(other))
  client.close()
  fake.close()
  t.equal(openDescriptors(), before, 'and none is left')
})

t.test('what was kept is not in the way of a release that asks for it otherwise', async (t) => {
  const fake = manager(`handover-test-${process.pid}-otherwise`)
  const client = new NotifyClient(fake.address)
  const again = (descriptor: number) =>
    new Listeners(
      listenerStore(
        new SystemdStore(client, [{ name: `handover.listen.${b.socketCookie(descriptor)}.old`, descriptor }]),
      ),
    )
  const kept = b.listenTcp('127.0.0.1', 0, 5, false)
  const cookie = b.socketCookie(kept)
  const { port } = b.socketName(kept)
  const renamed = again(b.duplicate(kept))
  const spec = { name: 'new', host: '127.0.0.1', port, backlog: 5 }
  t.equal(b.socketCookie(await renamed.provide(1, spec)), cookie, 'the same socket under another name')
  t.equal(fake.next()?.text, `FDSTOREREMOVE=1\nFDNAME=handover.listen.${cookie}.old`)
  const stored = fake.next()
  t.equal(stored?.text, `FDSTORE=1\nFDNAME=handover.listen.${cookie}.new\nFDPOLL=0`)
  closeAll(stored?.descriptors ?? [])
  renamed.closeAll()

  const moved = again(kept)
  const descriptor = await moved.provide(1, { ...spec, host: '0.0.0.0' })
  t.match(b.socketName(descriptor), { host: '0.0.0.0', port }, 'it is closed where it cannot stay beside')
  moved.closeAll()
  client.close()
  fake.close()
})

t.test('what is passed is taken for what it is, or refused by name', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-passed-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tcp = b.listenTcp('127.0.0.1', 0, 5, false)
  t.match(boundFrom('a', tcp), { spec: { name: 'a', host: '127.0.0.1' }, port: b.socketName(tcp).port })
  const udp = b.bindUdp('::1', 0, true, false, false)
  t.match(boundFrom('a', udp), { spec: { type: 'udp6', host: '::1' }, port: b.socketName(udp).port })
  const path = join(folder, 'x.sock')
  const unix = b.listenUnix(path, 5, -1)
  t.match(boundFrom('a', unix), { spec: { type: 'unix', path }, path: { path } })
  const memfd = b.memfd('no socket')
  t.equal(boundFrom('a', memfd), undefined)
  const [left, right] = b.streampair()
  t.equal(boundFrom('a', left), undefined, 'a connection')
  const listeners = new Listeners()
  t.throws(() => listeners.inherit([{ name: 'web', descriptor: memfd }]), {
    code: 'HANDOVER_LISTEN_REFUSED',
    message: /the socket "web" that was passed to this process is no listening or UDP socket/,
  })
  closeAll([tcp, udp, unix, left, right])
})

t.test('the environment of a service', async (t) => {
  t.match(managerOf({}, 1), { client: undefined, store: undefined, sockets: [], watchdogMs: undefined })
  t.equal(managerOf({ NOTIFY_SOCKET: 'vsock:2:1234' }, 1).client, undefined, 'a kind of address that is not known')
  t.equal(managerOf({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '3000000' }, 7).watchdogMs, 3000)
  t.equal(managerOf({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '3000000', WATCHDOG_PID: '7' }, 7).watchdogMs, 3000)
  t.equal(managerOf({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '3000000', WATCHDOG_PID: '8' }, 7).watchdogMs, undefined)
  t.equal(managerOf({ WATCHDOG_USEC: '3000000' }, 7).watchdogMs, undefined)
  t.same(managerOf({ LISTEN_FDS: '3', LISTEN_PID: '8' }, 7).sockets, [], "another process' descriptors are not touched")
})

t.test('a command line in a unit file', async (t) => {
  t.equal(
    quoted(['node', 'a b', '$HOME', '100%', 'it"s', 'back\\slash', ';', 'line\nbreak']),
    'node "a b" $$HOME 100%% "it\\"s" "back\\\\slash" ";" "line\\x0abreak"',
  )
})

const options = {
  name: 'web',
  node: '/usr/bin/node',
  cli: '/opt/handover.js',
  options: [],
  command: ['node', 'server.js'],
  directory: '/srv/a%b',
  drainMs: 30_000,
  upgradeMs: 95_000,
  keepMs: 60_000,
  watchdogSeconds: 30,
}

t.test('unit files', async (t) => {
  const unit = serviceUnit({ ...options, user: 'www', writable: ['/var/lib/web'], sockets: ['handover-web.socket'] })
  for (const line of [
    'Type=notify',
    'NotifyAccess=main',
    'KillMode=mixed',
    'Restart=always',
    'WatchdogSec=30s',
    'User=www',
    'TimeoutStopSec=50s',
    'TimeoutStartSec=110s',
    'WorkingDirectory=/srv/a%%b',
    'ReadWritePaths=/var/lib/web',
    'Sockets=handover-web.socket',
    'ExecReload=/usr/bin/node /opt/handover.js upgrade --name web',
    'RuntimeDirectory=handover/web',
  ])
    t.ok(unit.split('\n').includes(line), line)
  t.match(unit, / run --name web --keep listeners -- node server\.js$/m)
  t.match(serviceUnit({ ...options, options: ['--keep', 'listeners'] }), / run --name web --keep listeners -- node/)
  t.notMatch(unit, /^MemoryDenyWriteExecute/m)
  t.notMatch(serviceUnit({ ...options, watchdogSeconds: 0 }), /Watchdog/)
  t.throws(() => serviceUnit({ ...options, user: 'a\nExecStartPre=/bin/evil' }), { code: 'HANDOVER_USAGE' })
  t.throws(() => serviceUnit({ ...options, directory: '/a\nb' }), { code: 'HANDOVER_USAGE' })
  const units = socketUnits('web', [
    { name: 'http', address: '80' },
    { name: 'admin', address: '/run/a.sock' },
  ])
  t.same([...units.keys()], ['handover-web.socket', 'handover-web-admin.socket'])
  t.match(
    units.get('handover-web-admin.socket'),
    /^ListenStream=\/run\/a\.sock\nFileDescriptorName=admin\nService=handover-web\.service$/m,
  )
})

t.test('a real listening socket of Node has a name', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const fd = (server as unknown as { _handle: { fd: number } })._handle.fd
  t.match(b.socketName(fd), { family: 2, type: 1, host: '127.0.0.1' })
  t.throws(() => b.socketName(b.memfd('no socket')), { code: 'ENOTSOCK' })
  server.close()
})
