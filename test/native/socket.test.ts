import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { cleanEnvironment, type Teardown } from '../harness/child.js'
import { tcpPair } from '../harness/tcp-pair.js'
import { until, within } from '../harness/timeout.js'
import { programOf } from './script.js'

const b = binding()

const fdOf = (socket: Socket): number => (socket as unknown as { _handle: { fd: number } })._handle.fd

t.test('credentials tell who made the other end', async (t) => {
  const [left, right] = b.socketpair()
  t.same(b.peerCredentials(left), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() })
  b.close(left)
  b.close(right)

  const path = `\0handover-credentials-${process.pid}`
  const listener = createServer().listen(path)
  await once(listener, 'listening')
  const child = spawn(process.execPath, ['-e', `require('net').connect(${JSON.stringify(path)})`], {
    env: cleanEnvironment(),
  })
  const [socket] = (await within(once(listener, 'connection'), 'the child')) as [Socket]
  t.equal(b.peerCredentials(fdOf(socket)).pid, child.pid)
  socket.destroy()
  listener.close()
  child.kill('SIGKILL')
  await once(child, 'exit')
})

t.test('a cookie is the same through a duplicate and in another process', async (t) => {
  const { client, server } = await tcpPair(t)
  const cookie = b.socketCookie(fdOf(server))
  t.type(cookie, 'bigint')
  t.not(cookie, b.socketCookie(fdOf(client)))
  const copy = b.duplicate(fdOf(server))
  t.equal(b.socketCookie(copy), cookie)

  const [left, right] = b.socketpair()
  const program = programOf(`
    const { descriptors } = b.receive(3, Buffer.alloc(10))
    console.log(String(b.socketCookie(descriptors[0])))
  `)
  b.send(left, Buffer.from('x'), [copy])
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit', right],
  })
  const [said] = await within(once(child.stdout!, 'data'), 'the cookie the child sees')
  await once(child, 'exit')
  t.equal(String(said).trim(), String(cookie))
  for (const fd of [copy, left, right]) b.close(fd)
})

t.test('queue sizes count what the kernel holds', async (t) => {
  const { client, server } = await tcpPair(t)
  t.same(b.queueSizes(fdOf(server)), { receive: 0, send: 0 })
  const position = b.streamPosition(fdOf(server))
  client.write(Buffer.alloc(1000))
  await until(() => b.queueSizes(fdOf(server)).receive === 1000, '1000 bytes to be readable')
  t.equal(b.queueSizes(fdOf(server)).send, 0)
  t.same(b.streamPosition(fdOf(server)), position, 'what has come and was not read does not count')
  // More than both buffers hold: the rest waits on the sender's side.
  client.write(Buffer.alloc(64 << 20))
  await until(() => b.queueSizes(fdOf(client)).send > 0, 'bytes that are sent and not acknowledged')
  t.ok(b.queueSizes(fdOf(server)).receive > 1000)
})

t.test('socket options are read from the kernel', async (t) => {
  const { client } = await tcpPair(t)
  t.match(b.socketOptions(fdOf(client)), { noDelay: false, keepAlive: false })
  client.setNoDelay(true)
  client.setKeepAlive(true, 33_000)
  t.same(b.socketOptions(fdOf(client)), { noDelay: true, keepAlive: true, keepAliveIdleSeconds: 33 })
  client.setNoDelay(false)
  t.equal(b.socketOptions(fdOf(client)).noDelay, false)
})

t.test('sockets that are not TCP have no TCP options', async (t) => {
  const [left, right] = b.socketpair()
  t.same(b.socketOptions(left), { noDelay: false, keepAlive: false, keepAliveIdleSeconds: 0 })
  b.close(left)
  b.close(right)
  const udp = createSocket('udp4')
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  const state = Object.getOwnPropertySymbols(udp).find((symbol) => symbol.description === 'state symbol')!
  const { handle } = (udp as unknown as Record<symbol, { handle: { fd: number } }>)[state]!
  t.same(b.socketOptions(handle.fd), { noDelay: false, keepAlive: false, keepAliveIdleSeconds: 0 })
  udp.close()
})

async function serve(t: Teardown, fd: number): Promise<{ port: number; listener: Server }> {
  const listener = createServer((socket) => socket.end('served'))
  listener.listen({ fd })
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  return { port: (listener.address() as AddressInfo).port, listener }
}

async function ask(port: number, host: string): Promise<string> {
  const socket = connect(port, host).setEncoding('utf8')
  let text = ''
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  try {
    await within(once(socket, 'end'), `an answer from ${host}`)
    return text
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
  }
}

t.test('a listener on IPv4 and a port the kernel chose', async (t) => {
  const fd = b.listenTcp('127.0.0.1', 0, 10, false)
  t.equal(
    Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8) & 0o4000,
    0o4000,
  )
  const { port } = await serve(t, fd)
  t.ok(port > 0)
  t.equal(await ask(port, '127.0.0.1'), 'served')
  t.throws(() => b.listenTcp('127.0.0.1', port, 10, false), { code: 'EADDRINUSE', errno: -98, syscall: 'bind' })
})

const noIpv6 =
  !Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6')) && 'no IPv6 here'

t.test('a listener on IPv6 serves both families, unless it is told not to', { skip: noIpv6 }, async (t) => {
  const dual = await serve(t, b.listenTcp('::', 0, 10, false))
  t.equal(await ask(dual.port, '::1'), 'served')
  t.equal(await ask(dual.port, '127.0.0.1'), 'served')
  const single = await serve(t, b.listenTcp('::', 0, 10, true))
  t.equal(await ask(single.port, '::1'), 'served')
  t.equal(await ask(single.port, '127.0.0.1'), 'ECONNREFUSED')
})

t.test('an address is numbers: names are not looked up', async (t) => {
  t.throws(() => b.listenTcp('localhost', 0, 10, false), { code: 'EINVAL', syscall: 'getaddrinfo' })
  t.throws(() => b.listenTcp('', 0, 10, false), { code: 'EINVAL' })
  t.throws(() => b.listenTcp('203.0.113.1', 0, 10, false), { code: 'EADDRNOTAVAIL', syscall: 'bind' })
})
