/** --ready, as it may be written; and a probe, which is answered by the right process or not. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { probe } from '../../src/supervisor/probe.js'
import { probeTarget, Readiness } from '../../src/supervisor/readiness.js'

t.test('what is probed', async (t) => {
  for (const when of ['auto', 'notify', 'alive']) t.equal(probeTarget(when), undefined)
  t.strictSame(probeTarget('tcp://127.0.0.1:80'), {
    host: '127.0.0.1',
    port: 80,
    authority: '127.0.0.1:80',
    path: undefined,
  })
  t.match(probeTarget('tcp://[::1]:65535'), { host: '::1', port: 65_535, authority: '[::1]:65535' })
  t.match(probeTarget('http://localhost:8080'), { host: 'localhost', port: 8080, path: '/' })
  t.match(probeTarget('http://localhost:8080/health?full=1'), { path: '/health?full=1', authority: 'localhost:8080' })
  for (const wrong of [
    '',
    'Auto',
    'https://localhost:1',
    'tcp://localhost',
    'tcp://:80',
    'tcp://localhost:0',
    'tcp://localhost:65536',
    'tcp://localhost:80/path',
    'http://localhost:80/a b',
    'http://localhost:80/\r\nX: y',
    'unix:/path',
    'http://:80/',
  ])
    t.throws(
      () => probeTarget(wrong),
      { code: 'HANDOVER_USAGE', message: /^--ready .* must be auto, notify, alive, tcp/ },
      wrong,
    )
})

t.test('a probe is believed when one of the processes has accepted it, and not when another has', async (t) => {
  const answers = ['HTTP/1.1 204 No Content\r\n\r\n']
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(answers[0] ?? ''))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const target = { host: '127.0.0.1', port, authority: 'any', path: undefined }
  t.equal(await probe(target, () => [process.pid]), true)
  t.equal(await probe(target, () => [process.ppid]), false)
  t.equal(await probe(target, () => []), false)
  t.equal(await probe(target, () => [2 ** 22 + 1]), false, 'one that is gone')
  const asked = { ...target, path: '/' }
  t.equal(await probe(asked, () => [process.pid]), true)
  for (const [answer, expected] of [
    ['HTTP/1.0 200 OK\r\n\r\n', true],
    ['HTTP/1.1 302 Found\r\n\r\n', true],
    ['HTTP/1.1 503 Busy\r\n\r\n', false],
    ['HTTP/1.1 404\r\n\r\n', false],
    ['SSH-2.0-OpenSSH\r\n', false],
    ['', false],
    ['x'.repeat(10_000), false],
  ] as const) {
    answers[0] = answer
    t.equal(await probe(asked, () => [process.pid]), expected, answer.slice(0, 30))
  }
  server.close()
  t.equal(await probe(target, () => [process.pid]), false, 'nobody listens')
})

t.test('READY=1 counts where it is waited for, once, and not after the end', async (t) => {
  let ready = 0
  const readiness = (when: 'auto' | 'notify' | 'alive', settleMs?: number) =>
    new Readiness({ when, settleMs, family: () => [], onReady: () => ready++ })
  // Timers of one length fire in the order they were set: whatever is due by now has come before this one.
  const turn = () =>
    new Promise<void>((resolve) =>
      new Readiness({ when: 'notify', settleMs: undefined, family: () => [], onReady: resolve }).notified(),
    )
  const notified = readiness('notify')
  notified.notified()
  notified.notified()
  await turn()
  t.equal(ready, 1)
  notified.notified()
  await turn()
  t.equal(ready, 1)
  const closed = readiness('auto')
  closed.notified()
  closed.close()
  await turn()
  t.equal(ready, 1)
  const alive = readiness('alive', 3_600_000)
  alive.notified()
  await turn()
  t.equal(ready, 1, 'it is to live for its time all the same')
  alive.close()
})
