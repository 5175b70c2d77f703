import { fstatSync, readdirSync } from 'node:fs'
import t from 'tap'
import { binding, MAX_DESCRIPTORS } from '../../src/sys/binding.js'
import type { Teardown } from '../harness/child.js'
import { runScript } from './script.js'

const b = binding()
const bytes = (text: string): Uint8Array => Buffer.from(text)
const openDescriptors = (): number => readdirSync('/proc/self/fd').length

function pairFor(test: Teardown): [number, number] {
  const [left, right] = b.socketpair()
  const open = new Set([left, right])
  test.teardown(() => {
    for (const fd of open) closeIfOpen(fd)
  })
  return [left, right]
}

function closeIfOpen(fd: number): void {
  try {
    b.close(fd)
  } catch {
    // closed by the test
  }
}

for (const count of [0, 1, MAX_DESCRIPTORS]) {
  t.test(`a message with ${count} descriptors arrives whole`, async (t) => {
    const [left, right] = pairFor(t)
    const files = Array.from({ length: count }, (_, index) => b.memfd(`file-${index}`))
    t.equal(b.send(left, bytes('payload'), files), true)
    const into = Buffer.alloc(100)
    const received = b.receive(right, into)
    t.equal(received?.bytes, 7)
    t.equal(into.toString('latin1', 0, 7), 'payload')
    t.same(
      received?.descriptors.map((fd) => fstatSync(fd).ino),
      files.map((fd) => fstatSync(fd).ino),
      'the same files, in the same order',
    )
    t.same(
      received?.descriptors.filter((fd) => !b.isCloseOnExec(fd)),
      [],
      'all are close-on-exec',
    )
    for (const fd of [...files, ...(received?.descriptors ?? [])]) b.close(fd)
  })
}

t.test('254 descriptors are refused before anything is sent', async (t) => {
  const [left, right] = pairFor(t)
  const many = Array.from({ length: MAX_DESCRIPTORS + 1 }, () => left)
  t.throws(() => b.send(left, bytes('x'), many), { name: 'RangeError', message: /253.*SCM_MAX_FD.*254/ })
  t.equal(b.receive(right, Buffer.alloc(10)), undefined)
})

t.test('messages keep their boundaries, and their descriptors', async (t) => {
  const [left, right] = pairFor(t)
  b.send(left, bytes('one'), [left])
  b.send(left, bytes('second'), [])
  const into = Buffer.alloc(100)
  const first = b.receive(right, into)
  t.equal(first?.bytes, 3)
  t.equal(first?.descriptors.length, 1)
  t.same(b.receive(right, into), { bytes: 6, descriptors: [] })
  for (const fd of first?.descriptors ?? []) b.close(fd)
})

t.test('an empty queue and a full one are values, not errors', async (t) => {
  const [left, right] = pairFor(t)
  const into = Buffer.alloc(1000)
  t.equal(b.receive(right, into), undefined)
  let sent = 0
  while (b.send(left, Buffer.alloc(1000), [])) sent += 1
  t.ok(sent > 0, `${sent} messages fit`)
  let received = 0
  while (b.receive(right, into) !== undefined) received += 1
  t.equal(received, sent, 'what was refused was not sent in part')
  t.equal(b.send(left, bytes('again'), []), true)
})

t.test('a payload that is too large for the buffer: error, and no descriptor is left', async (t) => {
  const [left, right] = pairFor(t)
  const before = openDescriptors()
  b.send(
    left,
    Buffer.alloc(100),
    Array.from({ length: 50 }, () => left),
  )
  b.send(left, bytes('next'), [])
  t.throws(() => b.receive(right, Buffer.alloc(10)), { code: 'EMSGSIZE', errno: -90, syscall: 'recvmsg' })
  t.equal(openDescriptors(), before)
  t.same(b.receive(right, Buffer.alloc(10)), { bytes: 4, descriptors: [] }, 'the next message is read as ever')
})

t.test('a receiver at its limit of descriptors: error, and no descriptor is left', async (t) => {
  const { said, stderr } = runScript(`
    const [left, right] = b.socketpair()
    b.send(left, Buffer.from('cut'), Array.from({ length: 10 }, () => left))
    b.send(left, Buffer.from('next'), [])
    const before = openDescriptors()
    const { soft } = b.descriptorLimit()
    const free = b.duplicate(left)
    b.close(free)
    b.setDescriptorLimit(free + 3)
    const error = caught(() => b.receive(right, Buffer.alloc(100)))
    const next = b.receive(right, Buffer.alloc(100))
    b.setDescriptorLimit(soft)
    say({ error, next, left: openDescriptors() - before })
  `)
  t.same(
    said,
    [{ error: { code: 'ECTRUNC', errno: -24, syscall: 'recvmsg' }, next: { bytes: 4, descriptors: [] }, left: 0 }],
    stderr,
  )
})

t.test('end of file is zero bytes', async (t) => {
  const [left, right] = pairFor(t)
  b.send(left, bytes('last'), [])
  b.close(left)
  const into = Buffer.alloc(10)
  t.equal(b.receive(right, into)?.bytes, 4)
  t.same(b.receive(right, into), { bytes: 0, descriptors: [] })
  t.same(b.receive(right, into), { bytes: 0, descriptors: [] })
})

t.test('an end that dies with messages unread loses none of those it had sent', async (t) => {
  const [left, right] = pairFor(t)
  b.send(left, bytes('one'), [left])
  b.send(left, bytes('three'), [])
  b.send(right, bytes('never read'), [])
  b.close(left)
  const into = Buffer.alloc(10)
  const first = b.receive(right, into)
  t.equal(first?.bytes, 3)
  for (const fd of first?.descriptors ?? []) b.close(fd)
  t.same(b.receive(right, into), { bytes: 5, descriptors: [] })
  t.same(b.receive(right, into), { bytes: 0, descriptors: [] })
})

t.test('sending to an end that is gone: EPIPE whatever it left unread', async (t) => {
  const [left, right] = pairFor(t)
  b.send(right, bytes('never read'), [])
  b.close(left)
  t.throws(() => b.send(right, bytes('x'), []), { code: 'EPIPE', errno: -32, syscall: 'sendmsg' })
})

t.test('sending to an end that is gone raises no SIGPIPE', async (t) => {
  // A stream: the kernel raises none for SOCK_SEQPACKET, with or without MSG_NOSIGNAL.
  const { said, code, stderr } = runScript(`
    import { connect, createServer } from 'node:net'
    import { once } from 'node:events'
    let signals = 0
    const arrived = new Promise((resolve) => process.on('SIGPIPE', () => { signals += 1; resolve() }))
    const server = createServer((socket) => socket.destroy()).listen('\\0handover-sigpipe-' + process.pid)
    await once(server, 'listening')
    const client = connect(server.address())
    await once(client, 'connect')
    const fd = b.duplicate(client._handle.fd)
    await once(client.resume(), 'close')
    say(caught(() => b.send(fd, Buffer.from('x'), [])).code)
    for (let i = 0; i < 10; i++) await turn()
    say(signals)
    process.kill(process.pid, 'SIGPIPE')
    await arrived
    say(signals)
    server.close()
  `)
  t.equal(code, 0, stderr)
  t.same(said, ['EPIPE', 0, 1], 'one that is sent on purpose does arrive')
})

t.test('a payload above the send buffer: EMSGSIZE', async (t) => {
  const [left, right] = pairFor(t)
  t.throws(() => b.send(left, Buffer.alloc(10_000_000), []), { code: 'EMSGSIZE', syscall: 'sendmsg' })
  t.equal(b.receive(right, Buffer.alloc(10)), undefined)
})

const notRoot = process.getuid?.() !== 0 && 'only root can become somebody else'

t.test('an unprivileged sender with too many descriptors in flight: ETOOMANYREFS', { skip: notRoot }, async (t) => {
  const { said, stderr } = runScript(`
    const [left, right] = b.socketpair()
    process.setgroups([]); process.setgid(65534); process.setuid(65534)
    b.setDescriptorLimit(64)
    const batch = Array.from({ length: 100 }, () => left)
    say([1, 2, 3, 4].map(() => caught(() => b.send(left, Buffer.from('x'), batch))).filter((error) => error).at(-1))
  `)
  t.same(said, [{ code: 'ETOOMANYREFS', errno: -109, syscall: 'sendmsg' }], stderr)
})

t.test('a bad descriptor: EBADF, and nothing is sent', async (t) => {
  const [left, right] = pairFor(t)
  t.throws(() => b.send(left, bytes('x'), [left, 1_000_000]), { code: 'EBADF', errno: -9, syscall: 'sendmsg' })
  t.throws(() => b.send(1_000_000, bytes('x'), []), { code: 'EBADF' })
  t.throws(() => b.receive(1_000_000, Buffer.alloc(1)), { code: 'EBADF', syscall: 'recvmsg' })
  t.equal(b.receive(right, Buffer.alloc(10)), undefined)
})
