import { realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { releaseEnvironment, runtimeEnvironment } from '../../src/supervisor/environment.js'
import { checkRelease, describeRelease, nextRelease, programOf, targetOf } from '../../src/supervisor/release.js'

const usage = { code: 'HANDOVER_USAGE' }

t.test('--node replaces node, by whatever path it was named, and nothing else', async (t) => {
  const node = '/opt/node'
  t.same(programOf({ command: ['node', 'a.js'], cwd: '/', node }), { program: node, args: ['a.js'] })
  t.same(programOf({ command: ['/usr/bin/node', 'a.js'], cwd: '/', node }), { program: node, args: ['a.js'] })
  t.same(programOf({ command: ['node', 'a.js'], cwd: '/' }), { program: 'node', args: ['a.js'] })
  t.throws(() => checkRelease({ command: ['deno', 'a.js'], cwd: '/', node }), usage)
  t.throws(() => checkRelease({ command: ['nodejs-wrapper'], cwd: '/', node }), usage)
  t.throws(() => checkRelease({ command: [], cwd: '/' }), usage)
  t.throws(() => checkRelease({ command: [''], cwd: '/' }), usage)
  t.equal(describeRelease({ command: ['node', 'a.js', '--x'], cwd: '/', node }), '/opt/node a.js --x')
})

t.test('the next release: what is named, and for the rest what runs now', async (t) => {
  const current = { command: ['node', 'a.js'], cwd: '/a', node: '/opt/20' }
  t.same(nextRelease(current, {}), current)
  t.same(nextRelease(current, { node: '/opt/24' }), { ...current, node: '/opt/24' })
  t.same(nextRelease(current, { command: ['node', 'b.js'], cwd: '/b' }), {
    command: ['node', 'b.js'],
    cwd: '/b',
    node: '/opt/20',
  })
  t.same(
    nextRelease(current, { command: ['./server'], cwd: '/b' }),
    { command: ['./server'], cwd: '/b' },
    'no Node for what is none',
  )
  t.same(nextRelease({ command: ['node', 'a.js'], cwd: '/a' }, {}), { command: ['node', 'a.js'], cwd: '/a' })
  t.throws(() => nextRelease(current, { command: [] }), usage)
  t.throws(() => nextRelease({ command: ['./server'], cwd: '/' }, { node: '/opt/24' }), usage)
})

t.test('the environment of a runtime', async (t) => {
  const before = {
    PATH: '/bin',
    LISTEN_FDS: '1',
    LISTEN_PID: '2',
    LISTEN_FDNAMES: 'x',
    NOTIFY_SOCKET: '/n',
    WATCHDOG_PID: '1',
    WATCHDOG_USEC: '1',
    NODE_CHANNEL_FD: '4',
    NODE_CHANNEL_SERIALIZATION_MODE: 'json',
  }
  t.same(runtimeEnvironment(before), { PATH: '/bin' })
  t.equal(before.LISTEN_FDS, '1', 'the own one stays as it is')
  const optionsOf = (NODE_OPTIONS: string) => runtimeEnvironment({ NODE_OPTIONS })['NODE_OPTIONS']
  t.equal(optionsOf('--inspect'), undefined)
  t.equal(optionsOf('  --inspect-brk=0  '), undefined)
  t.equal(optionsOf('--inspect=9229 --enable-source-maps --inspect-port=1'), '--enable-source-maps')
  t.equal(optionsOf('--max-old-space-size=100'), '--max-old-space-size=100')
})

t.test('files of an environment: read at each start, the later over the earlier', async (t) => {
  const folder = t.testdir({
    a: '# of all machines\nA=1\nB="two words"\nNODE_OPTIONS=--inspect --max-old-space-size=100\n',
    b: 'export B=3\nNOTIFY_SOCKET=/elsewhere\n',
  })
  const release = { command: ['node', 'a.js'], cwd: '/', environmentFiles: [join(folder, 'a'), join(folder, 'b')] }
  const read = () => runtimeEnvironment({ PATH: '/bin', A: 'of the supervisor', ...releaseEnvironment(release) })
  t.same(read(), { PATH: '/bin', A: '1', B: '3', NODE_OPTIONS: '--max-old-space-size=100' })
  writeFileSync(join(folder, 'b'), 'B=4')
  t.match(read(), { B: '4' })
  t.same(nextRelease(release, {}).environmentFiles, release.environmentFiles)
  t.same(nextRelease(release, { environmentFiles: [join(folder, 'b')] }).environmentFiles, [join(folder, 'b')])
  const missing = [join(folder, 'none')]
  t.throws(() => checkRelease({ ...release, environmentFiles: missing }), {
    ...usage,
    message: /^--env-file .*none: ENOENT/,
  })
  t.throws(() => nextRelease(release, { environmentFiles: missing }), usage)
  t.throws(() => checkRelease({ ...release, environmentFiles: Array(33).fill(join(folder, 'a')) }), usage)
})

t.test('the user of a release', async (t) => {
  const release = { command: ['node', 'a.js'], cwd: '/' }
  for (const [user, message] of [
    ['', /USER or USER:GROUP/],
    ['root:', /USER or USER:GROUP/],
    ['root:root:root', /USER or USER:GROUP/],
    ['nobody-of-this-name', /no user "nobody-of-this-name"/],
    ['root:nobody-of-this-name', /no group "nobody-of-this-name"/],
    ['1000', /a number needs its group, such as 1000:1000/],
    ['4294967295:1', /at most 2147483646/],
  ] as const)
    t.throws(() => checkRelease({ ...release, user }), { ...usage, message })
  t.throws(() => nextRelease({ ...release, user: 'daemon' }, { user: 'root' }), { ...usage, message: /keeps the user/ })
  if (process.getuid?.() !== 0) {
    t.throws(() => checkRelease({ ...release, user: 'root' }), { ...usage, message: /only root/ })
    return
  }
  t.same(nextRelease({ ...release, user: 'daemon' }, {}).user, 'daemon')
  t.match(releaseEnvironment({ ...release, user: 'daemon' }), { USER: 'daemon', LOGNAME: 'daemon', HOME: String })
  t.same(releaseEnvironment({ ...release, user: '1000:1000' }), { USER: '1000', LOGNAME: '1000' })
})

t.test(
  'what is started again is where it was: the folder and the script, and nothing the script is given',
  async (t) => {
    const folder = realpathSync(t.testdir({ 1: { 'server.js': '', 'first.js': '' }, data: '' }))
    symlinkSync('1', join(folder, 'current'))
    symlinkSync('data', join(folder, 'link'))
    const pinned = (...command: string[]) => targetOf({ command, cwd: join(folder, 'current') }).running
    const script = join(folder, 'current/server.js')
    const real = join(folder, '1/server.js')
    t.same(pinned('node', script, join(folder, 'link'), script), {
      command: ['node', real, join(folder, 'link'), script],
      cwd: join(folder, '1'),
    })
    t.same(pinned('/usr/bin/node', '--import', script, '--title=x', script).command.slice(-1), [real])
    t.same(pinned('node', 'server.js').command, ['node', 'server.js'], 'within its folder')
    t.same(pinned('node', '-e', script).command, ['node', '-e', script])
    t.same(pinned('./server', script).command, ['./server', script], 'of another program nothing is known')
    t.same(pinned('node', 'none.js').command, ['node', 'none.js'])
    const release = { command: ['node', script], cwd: folder }
    t.equal(targetOf(release).release, release, 'as it was asked for')
  },
)
