import { spawnSync } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import t from 'tap'
import { binding, POLLHUP, POLLIN, POLLOUT } from '../../src/sys/binding.js'
import { runScript } from './script.js'

const b = binding()
const isInherited = (fd: number): boolean => spawnSync('readlink', [`/proc/self/fd/${fd}`]).status === 0

t.test('a duplicate is another number for the same thing', async (t) => {
  const file = b.memfd('one')
  const copy = b.duplicate(file)
  t.not(copy, file)
  t.equal(fstatSync(copy).ino, fstatSync(file).ino)
  b.close(file)
  t.throws(() => fstatSync(file), { code: 'EBADF' })
  t.ok(fstatSync(copy))
  b.close(copy)
  t.throws(() => b.close(copy), { code: 'EBADF', errno: -9, syscall: 'close' })
  t.throws(() => b.duplicate(copy), { code: 'EBADF', syscall: 'fcntl' })
})

t.test('everything that is made is close-on-exec', async (t) => {
  const [left, right] = b.socketpair()
  b.send(left, Buffer.from('x'), [left])
  const made = {
    left,
    right,
    received: b.receive(right, Buffer.alloc(1))!.descriptors[0]!,
    duplicate: b.duplicate(left),
    memfd: b.memfd('x'),
    pidfd: b.pidfdOpen(process.pid),
    listener: b.listenTcp('127.0.0.1', 0, 1, false),
  }
  for (const [name, fd] of Object.entries(made)) {
    t.equal(b.isCloseOnExec(fd), true, name)
    t.equal(isInherited(fd), false, `${name} does not reach a child`)
    b.close(fd)
  }
})

t.test('close-on-exec can be taken off and put back', async (t) => {
  const fd = b.memfd('inherited')
  b.setCloseOnExec(fd, false)
  t.equal(b.isCloseOnExec(fd), false)
  t.equal(isInherited(fd), true)
  b.setCloseOnExec(fd, true)
  t.equal(b.isCloseOnExec(fd), true)
  t.equal(isInherited(fd), false)
  b.close(fd)
})

t.test('poll says what is ready', async (t) => {
  const [left, right] = b.socketpair()
  t.same(b.poll([left, right], [POLLIN | POLLOUT, POLLIN], 0), [POLLOUT, 0])
  b.send(left, Buffer.from('x'), [])
  t.same(b.poll([left, right], [POLLIN, POLLIN], -1), [0, POLLIN])
  b.close(left)
  t.equal(b.poll([right], [POLLIN], -1)[0]! & POLLHUP, POLLHUP)
  t.same(b.poll([left], [POLLIN], -1), [32], 'POLLNVAL of a descriptor that is closed')
  t.same(b.poll([], [], 0), [])
  b.close(right)
})

t.test('poll gives up after its timeout', async (t) => {
  const [left, right] = b.socketpair()
  const began = performance.now()
  t.same(b.poll([left], [POLLIN], 50), [0])
  t.ok(performance.now() - began >= 50)
  b.close(left)
  b.close(right)
})

t.test('poll goes on with the time left when signals interrupt it', async (t) => {
  const { said, stderr } = runScript(`
    import { spawn } from 'node:child_process'
    let signals = 0
    process.on('SIGUSR2', () => { signals += 1 })
    const [left] = b.socketpair()
    const sender = spawn('sh', ['-c', 'echo; while kill -USR2 $0; do sleep 0.02; done', String(process.pid)])
    await new Promise((resolve) => sender.stdout.once('data', resolve))
    // A sender that is not scheduled for a while sends nothing: polls until one was interrupted, and holds all to it.
    const polls = []
    while (signals === 0 && polls.length < 50) {
      const began = performance.now()
      const revents = b.poll([left], [POLLIN], 200)
      const took = performance.now() - began
      polls.push(revents[0] === 0 && took >= 200 && took < 5000)
      await turn()
    }
    sender.kill('SIGKILL')
    say({ whole: polls.every(Boolean), interrupted: signals > 0 })
  `)
  t.same(said, [{ whole: true, interrupted: true }], stderr)
})

t.test('the table of descriptors grows once, and nothing stays open', async (t) => {
  const { said } = runScript(`
    const size = () => Number(/FDSize:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1])
    const before = openDescriptors()
    const small = size()
    b.setDescriptorLimit(8192)
    b.growDescriptorTable(5000)
    say({ grew: small < 5000 && size() >= 5000, left: openDescriptors() - before })
    say(caught(() => b.growDescriptorTable(8193)))
  `)
  t.same(said, [
    { grew: true, left: 0 },
    { code: 'EINVAL', errno: -22, syscall: 'fcntl' },
  ])
})

t.test('the limit of descriptors is the one the kernel shows', async (t) => {
  const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'latin1'))!
  t.same(b.descriptorLimit(), { soft: Number(soft), hard: Number(hard) })
})

t.test('the soft limit can be set, and stops at the hard one', async (t) => {
  const { said } = runScript(`
    const { hard } = b.descriptorLimit()
    b.setDescriptorLimit(100)
    say(b.descriptorLimit().soft)
    b.setDescriptorLimit(hard + 1)
    say(b.descriptorLimit().soft === hard && b.descriptorLimit().hard === hard)
  `)
  t.same(said, [100, true])
})

t.test('the errors of a descriptor that is no socket are the kernel’s', async (t) => {
  const file = openSync('/dev/null', 'r')
  t.throws(() => b.send(file, Buffer.from('x'), []), { code: 'ENOTSOCK' })
  t.throws(() => b.peerCredentials(file), { code: 'ENOTSOCK', syscall: 'getsockopt' })
  t.throws(() => b.queueSizes(file), { code: 'ENOTTY', syscall: 'ioctl' })
  closeSync(file)
})
