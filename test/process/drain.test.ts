/** Connections that are not sessions stay with the predecessor, until they end or the deadline comes. */
import t from 'tap'
import { isRunning } from '../harness/census.js'
import { Oracle } from '../harness/oracle.js'
import { ask } from '../harness/prober.js'
import { Puppet, Stage } from '../harness/puppet.js'
import { serving, stream, wrongLines } from '../harness/stream.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

t.test('unregistered connections are served to their end by the predecessor', async (t) => {
  const served = await serving(t, { clients: 10, args: ['--unregistered'] })
  const { supervisor, port, load } = served
  const slow = await Oracle.open({ port, seed: 700, push: 5_000_000, flood: true, paused: true })
  const { pid } = await ask(port)
  let isOver = false
  const upgrade = supervisor.upgrade('--', ...stream('--release', '2')).finally(() => (isOver = true))
  await supervisor.child.line(/^ready release=2/)
  await load.progress()
  t.match(await ask(port), { release: '2' }, 'who comes now is served by the successor')
  t.match((await supervisor.status()).json, {
    upgrading: 'drain',
    generations: [
      { state: 'draining', pid, unregistered: 11, sessions: { stream: 0 } },
      { state: 'serving', unregistered: 0 },
    ],
  })
  await load.finish()
  t.ok(isRunning(pid) && !isOver, 'one is still open: it is waited for')
  await slow.finish()
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 0, drained: 11, dropped: 0, refused: 0 },
    reasons: [{ of: 'drained', count: 11, reason: 'not a session: served to its end by the predecessor' }],
  })
  t.equal(json?.phases.at(-1)?.phase, 'drain')
  t.notOk(isRunning(pid))
  t.same(wrongLines(served), [])
})

t.test('at the deadline they are closed: every byte and a FIN, no reset, and the reason is told', async (t) => {
  const drainMs = scaled(700)
  const served = await serving(t, { clients: 0, args: ['--unregistered'], options: ['--drain', `${drainMs}ms`] })
  const { supervisor, port } = served
  const idle = await Promise.all([1, 2, 3].map((seed) => Oracle.open({ port, seed, push: 1_000 })))
  await Promise.all(idle.map((client) => client.reach(1_000)))
  // Its last bytes are still with the kernel, or on the way, when the deadline comes.
  const slow = await Oracle.open({ port, seed: 4, push: 1_000_000, flood: true, paused: true })
  // It goes on sending, so that there is always something unread.
  const busy = await Oracle.open({ port, seed: 5 })
  const upgrade = supervisor.upgrade('--', ...stream('--release', '2'))
  await supervisor.child.line(/^ready release=2/)
  const talk = (async () => {
    while (!busy.socket.readableEnded && !busy.socket.destroyed) {
      busy.send(500)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  await until(() => idle.every(({ socket }) => socket.readableEnded), 'the deadline')
  slow.resume()
  await slow.finish()
  await Promise.all(idle.map((client) => client.finish()))
  await talk
  t.equal(busy.fault, undefined, 'no wrong byte, no reset')
  busy.socket.destroy()
  const { exitCode, json } = await upgrade
  t.equal(exitCode, 0)
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 0, drained: 0, dropped: 5 },
    reasons: [{ of: 'dropped', count: 5, reason: `not a session, and still open after ${drainMs} ms of drain` }],
  })
  const drain = json?.phases.find(({ phase }) => phase === 'drain')?.durationMs ?? 0
  t.ok(drain >= drainMs - 1, `drained for ${drain} ms`)
})

t.test('sessions move, what has left them is drained', async (t) => {
  const stage = await Stage.start(t)
  const stays = await Puppet.open(stage)
  const leaves = await Puppet.open(stage)
  const answers = await leaves.serve((socket, _session, { puppets, pid }) => {
    socket.on('data', (bytes) => socket.write(`${pid} ${String(bytes)}`))
    return [puppets.leave(socket), puppets.leave(socket), puppets.get(socket) === undefined, pid]
  })
  const pid = answers[3]
  t.same(answers, [true, false, true, pid])
  const upgrade = stage.supervisor.upgrade()
  await stage.supervisor.child.line(/^retired generation=1$/)
  leaves.send('still?')
  await leaves.gets(`${String(pid)} still?`.length)
  t.equal(leaves.received.toString(), `${String(pid)} still?`)
  t.equal(await stays.serve((_socket, _session, { generation }) => generation), 2)
  leaves.client.end()
  const { exitCode, json } = await upgrade
  t.match({ exitCode, json }, { exitCode: 0, json: { sessions: { moved: 1, drained: 1, dropped: 0 } } })
  stays.client.destroy()
})

t.test('a connection that nobody reads does not let its process end before the deadline', async (t) => {
  const drainMs = scaled(700)
  const stage = await Stage.start(t, { options: ['--drain', `${drainMs}ms`] })
  const paused = await Puppet.open(stage)
  await paused.serve((socket, _session, { puppets }) => {
    puppets.leave(socket)
    // As Node's http parser does where nobody takes a body: only so is nothing left that keeps the loop alive.
    ;(socket as unknown as { _handle: { readStop(): void } })._handle.readStop()
  })
  const { json } = await stage.supervisor.upgrade()
  t.match(json, {
    outcome: 'committed',
    sessions: { moved: 0, drained: 0, dropped: 1 },
    reasons: [{ of: 'dropped', count: 1, reason: `not a session, and still open after ${drainMs} ms of drain` }],
  })
  await paused.isEnded()
  t.equal(paused.error, undefined)
})
