/** --listen, --ready, --settle, --stop-signal as they are typed. */
import t from 'tap'
import { parseListen } from '../../src/cli/listen.js'
import { runCli } from '../harness/cli.js'

t.test('--listen', async (t) => {
  for (const [text, option] of [
    ['http=8080', { name: 'http', port: 8080 }],
    ['http=0', { name: 'http', port: 0 }],
    ['http=127.0.0.1:80', { name: 'http', host: '127.0.0.1', port: 80 }],
    ['a.b-c_d=localhost:65535', { name: 'a.b-c_d', host: 'localhost', port: 65_535 }],
    ['http=[::1]:80', { name: 'http', host: '::1', port: 80 }],
    ['http=[fe80::1%eth0]:80', { name: 'http', host: 'fe80::1%eth0', port: 80 }],
  ] as const)
    t.strictSame(parseListen(text), option)
  for (const wrong of [
    '',
    '8080',
    'http',
    'http=',
    '=80',
    'http=:80',
    'http=::1:80',
    'http=x',
    'http=80:',
    'http=65536',
    'http=-1',
    'http=1.5',
    'http=unix:/x',
  ])
    t.throws(
      () => parseListen(wrong),
      { code: 'HANDOVER_USAGE', message: /--listen .* must be NAME=PORT or NAME=HOST:PORT/ },
      wrong,
    )
})

t.test('what is not understood is refused before anything runs', async (t) => {
  for (const [args, message] of [
    [['--listen', 'http'], /--listen "http" must be NAME=PORT/],
    [['--listen', 'a=1', '--listen', 'a=2'], /listener "a" is named twice/],
    [['--listen', 'a b=1'], /listener "a b": a name is 1 to 64/],
    [['--ready', 'soon'], /--ready "soon" must be auto, notify, alive, tcp:\/\/HOST:PORT/],
    [['--settle', 'soon'], /"soon" is not a duration/],
    [['--settle', '2h'], /--settle must be 0 to 3600000 ms, not 7200000 ms/],
    [['--stop-signal', 'SIGKILL'], /--stop-signal must be a signal that a program can handle, .* not SIGKILL/],
    [['--stop-signal', 'toString'], /--stop-signal must be/],
  ] as const) {
    const { code, stderr } = await runCli(['run', ...args, '--', 'true'])
    t.equal(code, 2, args.join(' '))
    t.match(stderr, message)
  }
})
