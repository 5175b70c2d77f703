import { closeSync, fstatSync, ftruncateSync, openSync, readlinkSync, readSync, writeSync } from 'node:fs'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'

const b = binding()

t.test('a memory file bears its name and holds bytes', async (t) => {
  const fd = b.memfd('handover-state')
  t.equal(readlinkSync(`/proc/self/fd/${fd}`), '/memfd:handover-state (deleted)')
  writeSync(fd, 'state', 0)
  const into = Buffer.alloc(5)
  t.equal(readSync(fd, into, 0, 5, 0), 5)
  t.equal(into.toString(), 'state')
  b.close(fd)
})

t.test('once sealed, content and length are final', async (t) => {
  const fd = b.memfd('sealed')
  writeSync(fd, 'state', 0)
  t.equal(b.isSealed(fd), false)
  b.seal(fd)
  t.equal(b.isSealed(fd), true)
  t.throws(() => writeSync(fd, 'X', 0), { code: 'EPERM' })
  t.throws(() => ftruncateSync(fd, 1), { code: 'EPERM' }, 'no shrinking')
  t.throws(() => ftruncateSync(fd, 100), { code: 'EPERM' }, 'no growing')
  t.throws(() => b.seal(fd), { code: 'EPERM', syscall: 'fcntl' }, 'no more seals')
  t.equal(fstatSync(fd).size, 5)
  const into = Buffer.alloc(5)
  readSync(fd, into, 0, 5, 0)
  t.equal(into.toString(), 'state')
  b.close(fd)
})

t.test('seals travel with the descriptor, and bind who opens the file anew', async (t) => {
  const [left, right] = b.socketpair()
  const fd = b.memfd('travels')
  writeSync(fd, 'state', 0)
  b.seal(fd)
  b.send(left, Buffer.from('x'), [fd])
  b.close(fd)
  const [received] = b.receive(right, Buffer.alloc(1))!.descriptors
  t.equal(b.isSealed(received!), true)
  const anew = openSync(`/proc/self/fd/${received}`, 'r+')
  t.throws(() => writeSync(anew, 'X', 0), { code: 'EPERM' })
  closeSync(anew)
  for (const each of [left, right, received!]) b.close(each)
})

t.test('what is no memory file has no seals', async (t) => {
  const fd = openSync('/dev/null', 'r')
  t.throws(() => b.isSealed(fd), { code: 'EINVAL', errno: -22, syscall: 'fcntl' })
  t.throws(() => b.seal(fd), { code: /EINVAL|EPERM/ })
  closeSync(fd)
  t.throws(
    () => b.memfd('x'.repeat(250)),
    { code: 'EINVAL', syscall: 'memfd_create' },
    'a name of 249 bytes is the longest',
  )
})
