/** Sockets that are bound: UDP, and listeners on a path. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import type { Teardown } from '../harness/child.js'
import { within } from '../harness/timeout.js'

const b = binding()

const O_NONBLOCK = 0o4000
const flagsOf = (fd: number): number =>
  Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8)

function folder(t: Teardown): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-bind-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function receiver(t: Teardown, fd: number, type: 'udp4' | 'udp6' = 'udp4'): Promise<UdpSocket> {
  const socket = createSocket(type)
  const listening = once(socket, 'listening')
  socket.bind({ fd, exclusive: true })
  await listening
  t.teardown(() => void socket.close())
  return socket
}

async function send(port: number, host: string): Promise<string | undefined> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const failed = new Promise<string | undefined>((resolve) =>
    socket.send('hello', port, host, (error) => resolve((error as NodeJS.ErrnoException | null)?.code)),
  )
  return failed.finally(() => socket.close())
}

t.test('a UDP socket on a port the kernel chose', async (t) => {
  const fd = b.bindUdp('127.0.0.1', 0, false, false, false)
  t.equal(flagsOf(fd) & O_NONBLOCK, O_NONBLOCK)
  t.equal(b.isCloseOnExec(fd), true)
  const socket = await receiver(t, fd)
  const { port } = socket.address()
  const got = within(once(socket, 'message'), 'a datagram')
  t.equal(await send(port, '127.0.0.1'), undefined)
  t.equal(String((await got)[0]), 'hello')
  t.throws(() => b.bindUdp('127.0.0.1', port, false, false, false), { code: 'EADDRINUSE', syscall: 'bind' })
  t.throws(() => b.bindUdp('localhost', 0, false, false, false), { code: 'EINVAL', syscall: 'getaddrinfo' })
})

t.test('an address is shared only by sockets that all say so', async (t) => {
  const first = b.bindUdp('127.0.0.1', 0, false, true, false)
  t.equal(b.reuseAddress(first), true)
  const { port } = (await receiver(t, first)).address()
  const second = b.bindUdp('127.0.0.1', port, false, true, false)
  t.throws(() => b.bindUdp('127.0.0.1', port, false, false, false), { code: 'EADDRINUSE' })
  b.setReuseAddress(second, false)
  t.equal(b.reuseAddress(second), false)
  t.throws(() => b.bindUdp('127.0.0.1', port, false, true, false), { code: 'EADDRINUSE' })
  b.close(second)
  const spread = b.bindUdp('127.0.0.1', 0, false, false, true)
  const spreadPort = (await receiver(t, spread)).address().port
  b.close(b.bindUdp('127.0.0.1', spreadPort, false, false, true))
  t.throws(() => b.bindUdp('127.0.0.1', spreadPort, false, false, false), { code: 'EADDRINUSE' })
})

const noIpv6 =
  !Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6')) && 'no IPv6 here'

t.test('UDP over IPv6 takes both families, unless it is told not to', { skip: noIpv6 }, async (t) => {
  const dual = await receiver(t, b.bindUdp('::', 0, false, false, false), 'udp6')
  const { port } = dual.address()
  t.throws(() => b.bindUdp('127.0.0.1', port, false, false, false), { code: 'EADDRINUSE' }, 'IPv4 is taken too')
  const single = await receiver(t, b.bindUdp('::', 0, true, false, false), 'udp6')
  b.close(b.bindUdp('127.0.0.1', single.address().port, false, false, false))
})

t.test('a listener on a path has its mode before anybody can connect', async (t) => {
  const path = join(folder(t), 'socket')
  const umask = process.umask(0o077)
  t.teardown(() => process.umask(umask))
  const fd = b.listenUnix(path, 10, 0o662)
  t.equal(lstatSync(path).mode & 0o777, 0o662, 'whatever the umask')
  t.ok(lstatSync(path).isSocket())
  t.equal(flagsOf(fd) & O_NONBLOCK, O_NONBLOCK)
  t.equal(b.isCloseOnExec(fd), true)
  const server = createServer((socket) => socket.end('served')).listen({ fd })
  await once(server, 'listening')
  const client = connect(path).setEncoding('utf8')
  t.same(await within(once(client, 'data'), 'an answer'), ['served'])
  client.destroy()
  server.close()
  t.ok(lstatSync(path).isSocket(), 'whoever only has the descriptor does not unlink')
  unlinkSync(path)
  const plain = b.listenUnix(path, 10, -1)
  t.equal(lstatSync(path).mode & 0o777, 0o700, 'without a mode: as the umask has it')
  b.close(plain)
})

t.test('what is at the path stays', async (t) => {
  const place = folder(t)
  const at = (name: string): string => join(place, name)
  writeFileSync(at('file'), 'precious')
  symlinkSync(at('nowhere'), at('link'))
  const fd = b.listenUnix(at('socket'), 1, -1)
  for (const name of ['file', 'link', 'socket', '']) {
    t.throws(() => b.listenUnix(at(name), 1, 0o600), { code: 'EADDRINUSE', syscall: 'bind' }, name)
  }
  t.throws(() => b.listenUnix(at('no/such/folder'), 1, -1), { code: 'ENOENT', syscall: 'bind' })
  t.equal(readFileSync(at('file'), 'utf8'), 'precious')
  t.ok(lstatSync(at('link')).isSymbolicLink())
  b.close(fd)
})

t.test('the longest path, and one byte more', async (t) => {
  const place = folder(t)
  const path = join(place, 'x'.repeat(106 - place.length))
  t.equal(path.length, 107)
  b.close(b.listenUnix(path, 1, -1))
  t.ok(lstatSync(path).isSocket())
  t.throws(() => b.listenUnix(`${path}x`, 1, -1), { code: 'ENAMETOOLONG', syscall: 'bind' })
  t.throws(() => b.listenUnix('', 1, -1), { code: 'ENOENT' })
})
