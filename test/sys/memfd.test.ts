import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { readSealed, writeSealed } from '../../src/sys/memfd.js'
import { openDescriptors } from './descriptors.js'

const b = binding()
const refused = (message: RegExp) => ({ name: 'HandoverError', code: 'HANDOVER_MESSAGE_INVALID', message })

t.test('bytes come back as they were, and the caller owns the descriptor', async (t) => {
  const before = openDescriptors()
  for (const length of [0, 1, 65_537, 5_000_000]) {
    const bytes = Buffer.alloc(length, 'payload ')
    const fd = writeSealed(bytes)
    t.ok(b.isSealed(fd))
    t.ok(b.isCloseOnExec(fd))
    t.ok(readSealed(fd, length).equals(bytes), `${length} bytes`)
    t.ok(readSealed(fd, length).equals(bytes), 'twice')
    b.close(fd)
  }
  t.equal(openDescriptors(), before)
})

t.test('another length than was said', async (t) => {
  const fd = writeSealed(Buffer.alloc(10))
  for (const length of [0, 9, 11, 512 * 1024 * 1024])
    t.throws(() => readSealed(fd, length), refused(/came in a memfd of 10/))
  b.close(fd)
})

t.test('a memfd that could shrink under the reader', async (t) => {
  const fd = b.memfd('unsealed')
  writeFileSync(fd, 'payload')
  t.throws(() => readSealed(fd, 7), refused(/came in a file without seals of 7/))
  b.close(fd)
})

t.test('a file, a folder, a device and a socket', async (t) => {
  const path = join(tmpdir(), `handover-memfd-${process.pid}`)
  writeFileSync(path, 'payload')
  const [left, right] = b.socketpair()
  const files = [openSync(path, 'r'), openSync(tmpdir(), 'r'), openSync('/dev/zero', 'r'), left, right]
  for (const fd of files) t.throws(() => readSealed(fd, 7), refused(/came in a file without seals/))
  for (const fd of files) closeSync(fd)
  rmSync(path)
})

t.test('a sealed memfd whose descriptor is open for writing only', async (t) => {
  const fd = writeSealed(Buffer.from('payload'))
  // The seal forbids to open it for writing anew, so it is opened before.
  const open = b.memfd('twice')
  writeFileSync(open, 'payload')
  const writeOnly = openSync(`/proc/self/fd/${open}`, constants.O_WRONLY)
  b.seal(open)
  t.throws(() => readSealed(writeOnly, 7), refused(/payload of 7 bytes cannot be read: EBADF/))
  for (const one of [fd, open, writeOnly]) b.close(one)
})
