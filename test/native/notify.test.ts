/** The socket of sd_notify(3): who sent what, as the kernel says it. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { binding, POLLIN } from '../../src/sys/binding.js'
import { cleanEnvironment } from '../harness/child.js'
import { NO_PYTHON } from '../harness/programs.js'
import { runScript } from './script.js'

const b = binding()
const PYTHON =
  'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.connect("\\0" + sys.argv[1])\n'

t.test('a message comes with the process that sent it', { skip: NO_PYTHON }, async (t) => {
  const name = `handover-test-${process.pid}`
  const fd = b.bindNotify(name)
  t.ok(b.isCloseOnExec(fd))
  const into = Buffer.alloc(100)
  t.equal(b.receive(fd, into), undefined)
  const child = spawn(
    'python3',
    ['-c', `${PYTHON}s.send(b"READY=1")\ns.send(b"")\nsocket.send_fds(s, [b"x"], [0, 1])`, name],
    {
      env: cleanEnvironment(),
      stdio: 'inherit',
    },
  )
  await once(child, 'exit')
  const senders = new Set<number | undefined>()
  for (const [text, descriptors] of [
    ['READY=1', 0],
    ['', 0],
    ['x', 2],
  ] as const) {
    const received = b.receive(fd, into)!
    t.equal(into.toString('latin1', 0, received.bytes), text)
    t.equal(received.descriptors.length, descriptors)
    senders.add(received.pid)
    for (const each of received.descriptors) b.close(each)
  }
  // Where python3 is a shim it has become Python itself: the process is one and the same.
  t.same([...senders], [child.pid])
  t.equal(b.receive(fd, into), undefined)
  t.throws(() => b.bindNotify(name), { code: 'EADDRINUSE', syscall: 'bind' })
  b.close(fd)
  b.close(b.bindNotify(name))
})

t.test('a message that is too long is gone, the next one comes', { skip: NO_PYTHON }, async (t) => {
  const name = `handover-test-long-${process.pid}`
  const fd = b.bindNotify(name)
  spawnSync('python3', ['-c', `${PYTHON}s.send(b"x" * 101)\nsocket.send_fds(s, [b"y" * 101], [0])\ns.send(b"z")`, name])
  const into = Buffer.alloc(100)
  for (let round = 0; round < 2; round++) t.throws(() => b.receive(fd, into), { code: 'EMSGSIZE' })
  t.equal(b.receive(fd, into)?.bytes, 1)
  b.close(fd)
})

t.test('names', async (t) => {
  t.throws(() => b.bindNotify('x'.repeat(108)), { code: 'ENAMETOOLONG' })
  t.throws(() => b.bindNotify(''), { code: 'ENAMETOOLONG' })
  b.close(b.bindNotify('x'.repeat(107)))
  t.throws(() => (b.bindNotify as (name: unknown) => unknown)(1), { message: 'name must be a string' })
})

t.test('isListening', async (t) => {
  const listener = b.listenTcp('127.0.0.1', 0, 1, false)
  t.ok(b.isListening(listener))
  b.close(listener)
  t.notOk(b.isListening(listener), 'not open')
  t.notOk(b.isListening(0))
  const [left, right] = b.socketpair()
  t.notOk(b.isListening(left))
  b.close(left)
  b.close(right)
  const server = createServer().listen(0)
  server.close()
  t.throws(() => (b.isListening as (fd: unknown) => unknown)(-1), { name: 'TypeError' })
})

t.test('who adopts orphans becomes their parent, and can reap them', async (t) => {
  const { said, stderr } = runScript(`
    import { execFileSync } from 'node:child_process'
    b.adoptOrphans()
    const pid = Number(execFileSync('sh', ['-c', 'setsid sleep 1000 >/dev/null 2>&1 & echo $!']))
    const parent = () => Number(readFileSync('/proc/' + pid + '/stat', 'latin1').split(') ')[1].split(' ')[1])
    while (parent() !== process.pid) await turn()
    const pidfd = b.pidfdOpen(pid)
    b.pidfdSignal(pidfd, 9)
    b.poll([pidfd], [POLLIN], 10000)
    say(b.pidfdWait(pidfd))
  `)
  t.same(said, [{ code: null, signal: 9 }], stderr)
  t.type(POLLIN, 'number')
})
