/** The admin socket: who may speak to it, and what nonsense does to it. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import t from 'tap'
import { adminSocketPath } from '../../src/supervisor/directory.js'
import { cleanEnvironment } from '../harness/child.js'
import { ask } from '../harness/prober.js'
import { serving, stream } from '../harness/stream.js'
import type { TestSupervisor } from '../harness/supervisor.js'
import { scaled, within } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

const pathOf = ({ name, directory }: TestSupervisor): string => adminSocketPath(name, { XDG_RUNTIME_DIR: directory })

/** @param reads false: what is answered stays with the kernel, unread. */
async function dial(supervisor: TestSupervisor, { reads = true } = {}): Promise<Socket> {
  const socket = connect(pathOf(supervisor))
  if (!reads) socket.pause()
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Not once(): that would reject at an error, which is an end as well. */
const closed = (socket: Socket): Promise<unknown> =>
  socket.destroyed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve))

/** What is answered to a text, up to the end. */
async function say(supervisor: TestSupervisor, text: string | Buffer): Promise<string> {
  const socket = await dial(supervisor)
  let answer = ''
  socket.setEncoding('utf8').on('data', (part) => (answer += String(part)))
  socket.write(text)
  await within(closed(socket), 'the end of an admin connection')
  return answer
}

t.test('modes: 0600 in a directory of 0700', async (t) => {
  const { supervisor } = await serving(t, { clients: 0 })
  const path = pathOf(supervisor)
  const modes = [path, dirname(path), dirname(dirname(path))].map((each) => (statSync(each).mode & 0o777).toString(8))
  t.same(modes, ['600', '700', '700'])
})

const notRoot = process.geteuid?.() !== 0 && 'only root can become somebody else'

t.test(
  'another user is refused: by the directory, and where that is open by the credentials of the peer',
  { skip: notRoot },
  async (t) => {
    const { supervisor } = await serving(t, { clients: 0 })
    const path = pathOf(supervisor)
    const script = `const s = require('net').connect(${JSON.stringify(path)}, () => s.write('{"verb":"status"}\\n'))
    s.on('data', (d) => console.log('answered')); s.on('error', (e) => console.log(e.code)); s.on('close', () => console.log('closed'))`
    const asNobody = () => {
      const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, '-e', script]
      const { stdout, error, stderr } = spawnSync('setpriv', args, {
        encoding: 'utf8',
        cwd: '/',
        env: cleanEnvironment(),
      })
      if (error !== undefined || stdout === '')
        throw new Error(`no program could be run as another user: ${error} ${stderr}`)
      return stdout.trim().split('\n')
    }
    t.same(asNobody(), ['EACCES', 'closed'])
    for (const each of [path, dirname(path), dirname(dirname(path)), supervisor.directory]) chmodSync(each, 0o777)
    t.same(asNobody().at(-1), 'closed')
    t.notOk(asNobody().includes('answered'))
    await supervisor.child.line(/"peer":\{.*"uid":65534.*a stranger was turned away/)
    t.equal((await supervisor.status()).exitCode, 0, 'the owner is served')
  },
)

t.test('garbage is answered with an error or the end, and does no harm', async (t) => {
  const { supervisor, load } = await serving(t)
  const usage = (answer: string) =>
    t.match(JSON.parse(answer), { error: { code: 'HANDOVER_USAGE' } }, answer.slice(0, 200))
  usage(await say(supervisor, 'hello\n'))
  usage(await say(supervisor, '\n'))
  usage(await say(supervisor, '[]\n'))
  usage(await say(supervisor, 'null\n'))
  usage(await say(supervisor, '{"verb":"explode"}\n'))
  usage(await say(supervisor, '{"verb":"upgrade","command":"node"}\n'))
  usage(await say(supervisor, '{"verb":"upgrade","command":[]}\n'))
  usage(await say(supervisor, '{"verb":"upgrade","node":""}\n'))
  usage(await say(supervisor, '{"verb":"upgrade","policy":"some"}\n'))
  usage(await say(supervisor, '{"verb":"upgrade","unsettled":null}\n'))
  usage(await say(supervisor, Buffer.concat([Buffer.from([0, 255, 254, 128]), Buffer.from('\n')])))
  t.match(
    JSON.parse(await say(supervisor, '{"verb":"status"}\n{"verb":"stop"}\n')),
    { result: {} },
    'one request, one answer',
  )
  t.equal(await say(supervisor, 'x'.repeat(5 * 1024 * 1024)), '', 'a line without an end is cut')
  const silent = await dial(supervisor)
  silent.destroy()
  const half = await dial(supervisor)
  half.write('{"verb":"sta')
  half.destroy()
  await load.progress()
  t.equal((await supervisor.upgrade()).exitCode, 0)
  await load.finish()
})

t.test('a client that goes away in the middle of an upgrade does not stop it, nor the supervisor', async (t) => {
  const { supervisor, load, port } = await serving(t)
  const request = (release: string) =>
    `${JSON.stringify({ verb: 'upgrade', command: stream('--release', release, '--fault', 'wait-for-signal') })}\n`
  for (const [release, reads] of [
    ['read', true],
    // With events it has not read: the supervisor's next read is ECONNRESET.
    ['unread', false],
  ] as const) {
    const from = supervisor.child.lines.length
    const socket = await dial(supervisor, { reads })
    if (reads) socket.resume()
    socket.write(request(release))
    const successor = Number((await supervisor.child.line(/^waiting pid=(\d+)$/, from))[1])
    socket.destroy()
    await closed(socket)
    process.kill(successor, 'SIGUSR2')
    await supervisor.child.line(/"outcome":"committed"/, from)
    t.match(await ask(port), { release, pid: successor })
    await load.progress()
  }
  t.equal((await supervisor.status()).exitCode, 0)
  t.equal((await supervisor.upgrade('--', ...stream())).exitCode, 0)
  await load.finish()
})

t.test('twenty clients at once are all answered', async (t) => {
  const { supervisor } = await serving(t, { clients: 0 })
  const answers = await Promise.all(Array.from({ length: 20 }, () => say(supervisor, '{"verb":"status"}\n')))
  for (const answer of answers) t.match(JSON.parse(answer), { result: { pid: supervisor.child.pid } })
})
