import t from 'tap'
import { runScript } from './script.js'

const prelude = `
import { spawnSync } from 'node:child_process'
const pair = () => b.socketpair()
const write = (fd) => b.send(fd, Buffer.from('x'), [])
const ready = (set, most = 16) => b.epollReady(set, most).sort((one, other) => one - other)
`

const said = (body: string): unknown => {
  const { said, stderr, code } = runScript(prelude + body)
  return code === 0 ? said : stderr
}

t.test('members are ready when they can be read, or their peer is gone; and stay so', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const [one, two, three] = [pair(), pair(), pair()]
      for (const [, fd] of [one, two, three]) b.epollAdd(set, fd)
      say(ready(set))
      write(one[0])
      b.close(three[0])
      const expected = JSON.stringify([one[1], three[1]])
      say(JSON.stringify(ready(set)) === expected)
      say(JSON.stringify(ready(set)) === expected)
      b.receive(one[1], Buffer.alloc(1))
      say(JSON.stringify(ready(set)) === JSON.stringify([three[1]]))
    `),
    [[], true, true, true],
  )
})

t.test('no more than asked for at once; those left out come in their turn', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const fds = Array.from({ length: 10 }, () => {
        const [left, right] = pair()
        b.epollAdd(set, right)
        write(left)
        return right
      })
      const first = b.epollReady(set, 4)
      say(first.length)
      for (const fd of first) b.epollRemove(set, fd)
      const second = b.epollReady(set, 4096)
      say([...first, ...second].sort().join() === fds.sort().join())
    `),
    [4, true],
  )
})

t.test('who is removed is not ready any more, though a duplicate of it is still open', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const [left, right] = pair()
      b.epollAdd(set, right)
      write(left)
      const other = b.duplicate(right)
      b.epollRemove(set, right)
      b.close(right)
      say(ready(set))
      b.epollAdd(set, other)
      say(ready(set).length)
    `),
    [[], 1],
  )
})

t.test('the set can be watched: ready while one of its members is', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const [left, right] = pair()
      b.epollAdd(set, right)
      say(b.poll([set], [POLLIN], 0))
      let calls = 0
      const watcher = b.watch(set, (events) => {
        calls++
        say(events === POLLIN)
        b.receive(right, Buffer.alloc(1))
        watcher.close()
      })
      watcher.start(POLLIN)
      await turn()
      await turn()
      say(calls)
      write(left)
      say(b.poll([set], [POLLIN], 0))
      while (calls === 0) await turn()
      say(b.poll([set], [POLLIN], 0))
    `),
    [[0], 0, [1], true, [0]],
  )
})

t.test('a muted member is not heard until it is unmuted; a set may be one', async (t) => {
  t.same(
    said(`
      const [gate, set] = [b.epollSet(), b.epollSet()]
      b.epollAdd(gate, set)
      b.epollMute(gate, set)
      const [left, right] = pair()
      b.epollAdd(set, right)
      write(left)
      say(ready(gate))
      say(ready(set).length)
      b.epollUnmute(gate, set)
      say(ready(gate).length)
      b.receive(right, Buffer.alloc(1))
      say(ready(gate))
    `),
    [[], 1, 1, []],
  )
})

t.test('it is close-on-exec, and a descriptor like any other', async (t) => {
  t.same(
    said(`
      const before = openDescriptors()
      const set = b.epollSet()
      const open = openDescriptors() - before
      const isCloseOnExec = b.isCloseOnExec(set)
      b.close(set)
      say([open, isCloseOnExec, openDescriptors() - before])
    `),
    [[1, true, 0]],
  )
})

t.test('what the kernel refuses is an error with its code', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const [left, right] = pair()
      b.epollAdd(set, right)
      const codes = [
        () => b.epollAdd(set, right),
        () => b.epollRemove(set, left),
        () => b.epollAdd(set, b.memfd('file')),
        () => b.epollAdd(left, right),
        () => b.epollMute(set, left),
        () => b.epollUnmute(set, left),
        () => b.epollAdd(set, 100_000),
        () => b.epollReady(left, 1),
      ].map((call) => [caught(call)?.code, caught(call)?.syscall].join(' '))
      say(codes)
      b.close(right)
      say(ready(set))
    `),
    [
      [
        'EEXIST epoll_ctl',
        'ENOENT epoll_ctl',
        'EPERM epoll_ctl',
        'EINVAL epoll_ctl',
        'ENOENT epoll_ctl',
        'ENOENT epoll_ctl',
        'EBADF epoll_ctl',
        'EINVAL epoll_wait',
      ],
      [],
    ],
  )
})

t.test('how many may be asked for', async (t) => {
  t.same(
    said(`
      const set = b.epollSet()
      const tried = [0, -1, 4097, 1.5, '1', undefined].map((most) => {
        try { return b.epollReady(set, most).length } catch (error) { return error.name }
      })
      say(tried.every((what) => ['RangeError', 'TypeError'].includes(what)) || tried)
      say([1, 4096].map((most) => b.epollReady(set, most).length))
    `),
    [true, [0, 0]],
  )
})
