import t from 'tap'
import {
  checkRelease,
  describeRelease,
  nextRelease,
  programOf,
  runtimeEnvironment,
} from '../../src/supervisor/release.js'

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
