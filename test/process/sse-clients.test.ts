/** Clients people use, through an upgrade that is aborted and one that is committed; and servers whose streams do not move. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { EventServer, idsOf, waitFor } from '../harness/event-streams.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const hasCurl = await new Promise<boolean>((resolve) => {
  const curl = spawn('curl', ['--version'], { stdio: 'ignore' })
  curl.once('error', () => resolve(false)).once('exit', (code) => resolve(code === 0))
})

/** Two upgrades with a ticking stream: the client's ids must be whole, from one generation after the other. */
async function through(t: Test, server: EventServer, ids: () => number[]): Promise<void> {
  const more = (count: number) => until(() => ids().length >= count, `${count} events`)
  await more(3)
  t.equal((await server.abortedUpgrade()).exitCode, 3)
  await more(ids().length + 3)
  const { exitCode, json } = await server.supervisor.upgrade()
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, dropped: 0, refused: 0, drained: 0 } } })
  await more(ids().length + 3)
  const all = ids()
  t.same(
    all,
    all.map((_, index) => index + 1),
  )
}

t.test('EventSource: no reconnect, no event lost or doubled', async (t) => {
  const server = await EventServer.start(t, { args: ['--tick', '10'] })
  const ids: number[] = []
  let opened = 0
  let failed = 0
  const source = new EventSource(`http://127.0.0.1:${server.port}/events?name=one&ticks=1`)
  t.teardown(() => source.close())
  source.onopen = () => void opened++
  source.onerror = () => void failed++
  source.onmessage = ({ lastEventId }) => void ids.push(Number(lastEventId))
  await through(t, server, () => ids)
  t.same({ opened, failed }, { opened: 1, failed: 0 })
  // When the stream ends it comes back, and says where it was.
  await server.ask('/close?name=one')
  await until(() => opened === 2, 'it to come back')
  const { lastEventId } = (await server.ask('/look?name=one')) as { lastEventId: string }
  t.equal(lastEventId, String(ids.at(-1)))
  source.close()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('curl -N', { skip: !hasCurl && 'curl is not installed' }, async (t) => {
  const server = await EventServer.start(t, { args: ['--tick', '10'] })
  let text = ''
  const curl = spawn('curl', ['-sN', `http://127.0.0.1:${server.port}/events?name=one&ticks=1`])
  t.teardown(() => curl.kill('SIGKILL'))
  curl.stdout.on('data', (bytes: Buffer) => (text += String(bytes)))
  const ended = once(curl, 'close')
  await through(t, server, () => idsOf(text))
  await server.ask('/close?name=one')
  t.same(await within(ended, 'the end of curl'), [0, null], 'the response ended in order')
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('undici: the response ends, and the same connection serves the next request', async (t) => {
  const server = await EventServer.start(t, { args: ['--tick', '10'] })
  const dispatcher = new Agent({ connections: 1 })
  t.teardown(() => dispatcher.destroy())
  let connections = 0
  dispatcher.on('connect', () => void connections++)
  const origin = `http://127.0.0.1:${server.port}`
  const { body } = await request(`${origin}/events?name=one&ticks=1`, { dispatcher })
  let text = ''
  const ended = (async () => {
    for await (const bytes of body) text += String(bytes)
  })()
  await through(t, server, () => idsOf(text))
  await server.ask('/close?name=one')
  await within(ended, 'the end of the response')
  const next = await request(`${origin}/next`, { dispatcher })
  t.same(await next.body.json(), { path: '/next', generation: 3 })
  t.equal(connections, 1)
  await dispatcher.destroy()
  t.equal((await server.supervisor.stop()).exitCode, 0)
})

t.test('over HTTP/2 a stream is served, says why it stays, and is drained', async (t) => {
  const server = await EventServer.start(t, { args: ['--framework', 'http2'] })
  const session = connect(`http://127.0.0.1:${server.port}`)
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/events?name=one' })
  let text = ''
  stream.on('data', (bytes: Buffer) => (text += String(bytes)))
  await server.supervisor.child.line(/^stays name=one an HTTP\/2 session cannot leave its process$/)
  const ask = async (path: string): Promise<void> => {
    const other = session.request({ ':path': path })
    other.resume()
    await within(once(other, 'end'), path)
  }
  await ask('/send?name=one&data=there')
  await until(() => text === 'data: there\n\n', 'the event')
  const upgrade = server.supervisor.upgrade()
  await server.supervisor.child.line(/^ready .* generation=2 /)
  await waitFor(
    async () => server.supervisor.child.lines.some((line) => line.includes('"generation":2')),
    'it to serve',
  )
  await ask('/send?name=one&data=still')
  await until(() => text.endsWith('data: still\n\n'), 'an event of the predecessor')
  session.close()
  stream.close()
  const { exitCode, json } = await upgrade
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 0, drained: 1, dropped: 0 } } })
  t.same(server.said('close'), ['close generation=1 name=one reason=client'])
  t.equal((await server.supervisor.stop()).exitCode, 0)
})
