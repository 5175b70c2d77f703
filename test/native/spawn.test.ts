/** Starting a program: what it finds, how a start fails, that nothing of it is left. */
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { binding, POLLIN } from '../../src/sys/binding.js'
import { openDescriptors } from '../sys/descriptors.js'
import { runScript } from './script.js'

const b = binding()
const isRoot = process.getuid?.() === 0

interface Result {
  readonly text: string
  readonly exit: unknown
}

/** Runs a program to its end; descriptor 1 is a file. */
function run(
  t: Test,
  args: string[],
  environment: string[],
  more: readonly number[] = [],
  namesItself = true,
  identity: readonly number[] = [],
): Result {
  const folder = mkdtempSync(join(tmpdir(), 'handover-spawn-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const file = openSync(join(folder, 'out'), 'w')
  const nothing = openSync('/dev/null', 'r')
  const { pid, pidfd } = b.spawn(
    args[0]!,
    args,
    environment,
    realpathSync(folder),
    [nothing, file, 2, ...more],
    namesItself,
    identity,
  )
  t.ok(b.isCloseOnExec(pidfd))
  b.poll([pidfd], [POLLIN], -1)
  const exit = b.pidfdWait(pidfd)
  t.throws(() => b.pidfdWait(pidfd), { code: 'ECHILD' })
  for (const fd of [file, nothing, pidfd]) closeSync(fd)
  return {
    text: readFileSync(join(folder, 'out'), 'utf8').replaceAll(String(pid), 'PID').replaceAll(folder, 'FOLDER'),
    exit,
  }
}

const shell = (script: string): string[] => ['/bin/sh', '-c', script, 'sh', 'a "b" $c', '']

t.test('arguments, environment, directory, its own number', async (t) => {
  const before = openDescriptors()
  const { text, exit } = run(t, shell('echo "$# $1|$2|$X|$LISTEN_PID|$$"; pwd; exit 7'), ['X=a b\n"c"'])
  t.equal(text, '2 a "b" $c||a b\n"c"|PID|PID\nFOLDER\n')
  t.same(exit, { code: 7, signal: null })
  t.match(run(t, ['env'], ['ONLY=this', 'odd.name=kept'], [], false).text, /^ONLY=this\nodd\.name=kept\n$/)
  t.equal(openDescriptors(), before)
})

t.test('it leads a session, and has no signal blocked, ignored or handled', async (t) => {
  const { said, stderr } = runScript(
    `
    import { openSync } from 'node:fs'
    process.on('SIGTERM', () => {}); process.on('SIGHUP', () => {})
    const { pidfd } = b.spawn('cat', ['cat', '/proc/self/status', '/proc/self/stat'], [], '/', [openSync('/dev/null'), 1, 2], false, [])
    b.poll([pidfd], [POLLIN], 10000)
    `,
  )
  const text = said.join('\n')
  for (const set of ['SigBlk', 'SigIgn', 'SigCgt']) t.match(text, new RegExp(`${set}:\t0+\n`), stderr)
  const [, pid, , , group, session] = /^(\d+) \(cat\) (\S) (\d+) (\d+) (\d+)/m.exec(text) ?? []
  t.equal(group, pid)
  t.equal(session, pid)
})

t.test('descriptors take their places, whatever numbers they had', async (t) => {
  const [left, right] = b.socketpair()
  const list = 'for fd in 3 4 5 6; do readlink /proc/$$/fd/$fd || echo none; done'
  const target = (fd: number): string =>
    (readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/ino:\t(\d+)/) ?? [])[1] ?? ''
  // Each is the number another goes to, and one goes to two places.
  const { text } = run(t, shell(list), [`PATH=${process.env['PATH']}`], [right, left, right])
  const lines = text.trim().split('\n')
  t.match(lines[0], /^socket:/)
  t.not(lines[0], lines[1])
  t.equal(lines[0], lines[2])
  t.equal(lines[3], 'none', 'and no other goes along')
  t.type(target(left), 'string')
  b.close(left)
  b.close(right)
})

t.test('numbers that cross', async (t) => {
  const { said, stderr } = runScript(
    `
    import { chmodSync, closeSync, openSync, writeFileSync, readlinkSync } from 'node:fs'
    const files = ['a', 'b', 'c'].map((name) => { writeFileSync('/tmp/handover-' + process.pid + name, ''); return '/tmp/handover-' + process.pid + name })
    // In the parent 0 to 2 lead elsewhere than in the child, where they are the files of descriptors that lie below.
    const fds = files.map((file) => openSync(file, 'w'))
    const list = 'said=$(for fd in 0 2 3; do readlink /proc/$$/fd/$fd; done); one=$(readlink /proc/$$/fd/1); echo "$said" >&4; echo "$one" >&4'
    const [nothing] = [openSync('/dev/null')]
    const { pidfd } = b.spawn('sh', ['sh', '-c', list], ['PATH=' + process.env.PATH], '/', [fds[2], fds[1], fds[0], nothing, 1], false, [])
    b.poll([pidfd], [POLLIN], 10000)
    for (const file of files) (await import('node:fs')).rmSync(file)
    `,
  )
  const names = said.map((line) => String(line).replace(/^\/tmp\/handover-\d+/, ''))
  t.same(names, ['c', 'a', '/dev/null', 'b'], stderr)
})

t.test('standard streams block, further descriptors keep the mode they share', async (t) => {
  const [left, right] = b.socketpair()
  const flags = (fd: number) =>
    (Number.parseInt(/flags:\t0?(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8) & 0o4000) !== 0
  t.ok(flags(left))
  run(t, shell(':'), [], [left])
  t.ok(flags(left), 'a listener is not made blocking for all who have it')
  b.close(left)
  b.close(right)
})

t.test('a start that fails: which call, and no process or descriptor is left', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'handover-spawn-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, 'script')
  writeFileSync(script, 'no program', { mode: 0o644 })
  const before = openDescriptors()
  for (const [program, directory, code, syscall] of [
    ['no-such-program', '/', 'ENOENT', 'execve'],
    [script, '/', 'EACCES', 'execve'],
    [folder, '/', 'EACCES', 'execve'],
    ['sh', join(folder, 'none'), 'ENOENT', 'chdir'],
    ['sh', script, 'ENOTDIR', 'chdir'],
  ] as const)
    t.throws(() => b.spawn(program, [program], [], directory, [0, 1, 2], false, []), { code, syscall })
  t.throws(() => b.spawn('sh', ['sh'], [], '/', [0, 1, 2, 9_999], false, []), { code: 'EBADF', syscall: 'fcntl' })
  t.equal(openDescriptors(), before)
  const { said, stderr } = runScript(`
    caught(() => b.spawn('none', ['none'], [], '/', [0, 1, 2], false, []))
    const parentOf = (pid) => { try { return readFileSync('/proc/' + pid + '/stat', 'latin1').split(') ')[1].split(' ')[1] } catch {} }
    say(readdirSync('/proc').filter((pid) => /^\\d+$/.test(pid) && parentOf(pid) === String(process.pid)))
  `)
  t.same(said, [[]], stderr)
})

t.test('as another user', { skip: !isRoot && 'needs root' }, async (t) => {
  const ids = shell('grep -E "^(Uid|Gid|Groups|CapEff)" /proc/self/status | tr -s "\\t " " "')
  const path = [`PATH=${process.env['PATH']}`]
  t.equal(
    run(t, ids, path, [], false, [65_534, 12, 12, 34]).text,
    'Uid: 65534 65534 65534 65534\nGid: 12 12 12 12\nGroups: 12 34 \nCapEff: 0000000000000000\n',
  )
  t.match(run(t, ids, path, [], false, [65_534, 12]).text, /^Groups: ?$/m)
  const folder = mkdtempSync(join(tmpdir(), 'handover-spawn-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const start = () => b.spawn('true', ['true'], [], folder, [0, 1, 2], false, [65_534, 65_534])
  t.throws(start, { code: 'EACCES', syscall: 'chdir' }, 'it may not enter where its user may not')
})

t.test('users and groups by name', async (t) => {
  t.match(b.lookUpUser('root'), { uid: 0, gid: 0, name: 'root', home: String })
  t.ok(b.lookUpUser('root')?.groups.includes(0))
  t.match(b.lookUpUser('daemon'), { uid: 1, gid: 1, groups: [1] })
  t.equal(b.lookUpUser('nobody-of-this-name'), undefined)
  t.equal(b.lookUpGroup('root'), 0)
  t.equal(b.lookUpGroup('nobody-of-this-name'), undefined)
  t.throws(() => b.lookUpUser(1 as never), { message: 'name must be a string' })
  t.throws(() => b.lookUpGroup('a\0b'), { message: 'name must be a string without a NUL' })
})

t.test('what is passed wrongly is named', async (t) => {
  const call = (...args: unknown[]) => (b.spawn as (...args: unknown[]) => unknown)(...args)
  for (const [args, message] of [
    [[1], 'program must be a string'],
    [['a\0b'], 'program must be a string without a NUL'],
    [['a', 'b'], 'arguments must be an array'],
    [['a', ['b', 1]], 'arguments[1] must be a string'],
    [['a', [], ['x\0']], 'environment[0] must be a string without a NUL'],
    [['a', [], [], 1], 'directory must be a string'],
    [['a', [], [], '/', [-1]], 'descriptors[0] must be an integer from 0 to 2147483647'],
    [['a', [], [], '/', [], 1], 'namesItself must be a boolean'],
    [['a', [], [], '/', [], true], 'identity must be an array'],
    [['a', [], [], '/', [], true, [1]], 'identity must be empty, or a user, a group and further groups'],
    [['a', [], [], '/', [], true, [1, -1]], 'identity[1] must be an integer from 0 to 2147483647'],
  ] as const)
    t.throws(() => call(...args), { name: 'TypeError', message })
})
