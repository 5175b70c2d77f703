import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { runScript } from './script.js'

const b = binding()

// The shell starts a child and then becomes Node: so Node has a child that libuv did not start and does not reap.
const withChild = (child: string): string => `sh -c '${child}' >/dev/null & CHILD=$! exec "$@"`

t.test('a child that exits: ready to poll, its code, reaped once', async (t) => {
  const { said, stderr } = runScript(
    `
    const pidfd = b.pidfdOpen(Number(process.env.CHILD))
    say(b.poll([pidfd], [POLLIN], 10000)[0] & POLLIN)
    say(b.pidfdWait(pidfd))
    say(caught(() => b.pidfdWait(pidfd)))
    say(b.pidfdSignal(pidfd, 0))
    `,
    { shell: withChild('exit 7') },
  )
  t.same(said, [1, { code: 7, signal: null }, { code: 'ECHILD', errno: -10, syscall: 'waitid' }, false], stderr)
})

t.test('a child that runs, and is ended by a signal', async (t) => {
  const { said, stderr } = runScript(
    `
    const pidfd = b.pidfdOpen(Number(process.env.CHILD))
    say([b.poll([pidfd], [POLLIN], 0), b.pidfdWait(pidfd) === undefined, b.pidfdSignal(pidfd, 0)])
    say(b.pidfdSignal(pidfd, 15))
    b.poll([pidfd], [POLLIN], 10000)
    say(b.pidfdWait(pidfd))
    say(b.pidfdSignal(pidfd, 15))
    `,
    { shell: withChild('exec sleep 1000') },
  )
  t.same(said, [[[0], true, true], true, { code: null, signal: 15 }, false], stderr)
})

t.test('a stopped child has not ended', async (t) => {
  const { said } = runScript(
    `
    const pid = Number(process.env.CHILD)
    const state = () => readFileSync('/proc/' + pid + '/stat', 'latin1').split(') ')[1][0]
    const pidfd = b.pidfdOpen(pid)
    b.pidfdSignal(pidfd, 19)
    while (state() !== 'T') await turn()
    say([b.poll([pidfd], [POLLIN], 0), b.pidfdWait(pidfd) === undefined])
    b.pidfdSignal(pidfd, 9)
    b.poll([pidfd], [POLLIN], 10000)
    say(b.pidfdWait(pidfd))
    `,
    { shell: withChild('exec sleep 1000') },
  )
  t.same(said, [[[0], true], { code: null, signal: 9 }])
})

t.test('a watcher wakes when a child ends', async (t) => {
  const { said, code } = runScript(
    `
    const pidfd = b.pidfdOpen(Number(process.env.CHILD))
    const watcher = b.watch(pidfd, () => { say(b.pidfdWait(pidfd)); watcher.close() })
    watcher.start(POLLIN)
    b.pidfdSignal(pidfd, 9)
    `,
    { shell: withChild('exec sleep 1000') },
  )
  t.equal(code, 0)
  t.same(said, [{ code: null, signal: 9 }])
})

t.test('what is not our child is not ours to wait for', async (t) => {
  const pidfd = b.pidfdOpen(process.ppid)
  t.throws(() => b.pidfdWait(pidfd), { code: 'ECHILD', errno: -10, syscall: 'waitid' })
  t.equal(b.pidfdSignal(pidfd, 0), true)
  b.close(pidfd)
})

t.test('no such process, no such signal', async (t) => {
  t.throws(() => b.pidfdOpen(2 ** 22 + 1), { code: 'ESRCH', errno: -3, syscall: 'pidfd_open' })
  const pidfd = b.pidfdOpen(process.pid)
  t.throws(() => b.pidfdSignal(pidfd, 65), TypeError)
  b.close(pidfd)
  const memory = b.memfd('x')
  t.throws(() => b.pidfdSignal(memory, 0), { code: 'EBADF', syscall: 'pidfd_send_signal' })
  b.close(memory)
})
