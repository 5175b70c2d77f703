/** A path under which a process is found again: bound by one, listened to by another, connected to by a third. */
import { spawnSync } from 'node:child_process'
import { lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { binding, POLLIN } from '../../src/sys/binding.js'
import type { Teardown } from '../harness/child.js'

const b = binding()

function folder(t: Teardown): string {
  const path = mkdtempSync(join(tmpdir(), 'handover-meet-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

t.test('nobody is met before it listens, and nobody after it is closed', async (t) => {
  const path = join(folder(t), 'one')
  const before = process.umask(0o777)
  const bound = b.bindPacket(path)
  process.umask(before)
  t.ok(lstatSync(path).isSocket())
  t.equal(lstatSync(path).mode & 0o077, 0)
  t.equal(b.isCloseOnExec(bound), true)
  t.throws(() => b.bindPacket(path), { code: 'EADDRINUSE', syscall: 'bind' })
  const refused = { code: 'ECONNREFUSED', syscall: 'connect' }
  t.throws(() => b.connectPacket(path), refused)
  b.listen(bound, 1)
  t.equal(b.accept(bound), undefined)
  const near = b.connectPacket(path)
  t.equal(b.poll([bound], [POLLIN], 1_000)[0], POLLIN)
  const far = b.accept(bound)!
  t.equal(b.isCloseOnExec(far), true)
  t.equal(b.accept(bound), undefined)
  t.match(b.peerCredentials(near), { pid: process.pid, uid: process.geteuid?.() })
  b.send(near, Buffer.from('hello'), [])
  const into = Buffer.alloc(16)
  t.match(b.receive(far, into), { bytes: 5 })
  b.close(bound)
  t.throws(() => b.connectPacket(path), refused)
  t.throws(() => b.connectPacket(`${path}.not`), { code: 'ENOENT' })
  for (const fd of [near, far]) b.close(fd)
})

t.test('too many that wait are told so', async (t) => {
  const path = join(folder(t), 'one')
  const bound = b.bindPacket(path)
  b.listen(bound, 0)
  const waiting = [b.connectPacket(path)]
  t.throws(() => b.connectPacket(path), { code: 'EAGAIN', syscall: 'connect' })
  for (const fd of [bound, ...waiting]) b.close(fd)
})

t.test('who listens is seen, not who has bound', async (t) => {
  const path = join(folder(t), 'one')
  const bound = b.bindPacket(path)
  const addon = join(process.cwd(), 'build/Release/handover.node')
  // The other one ends at once; what it listened to is still open here.
  const script = `require(${JSON.stringify(addon)}).listen(3, 4); console.log(process.pid)`
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe', bound],
  })
  const near = b.connectPacket(path)
  // A process that has ended has no number any more, or its own.
  t.ok([0, Number(stdout)].includes(b.peerCredentials(near).pid))
  for (const fd of [bound, near]) b.close(fd)
})

t.test('paths that cannot be', async (t) => {
  for (const make of [b.bindPacket, b.connectPacket]) {
    t.throws(() => make('x'.repeat(108)), { code: 'ENAMETOOLONG' })
    t.throws(() => make(''), { code: 'ENOENT' })
  }
})
