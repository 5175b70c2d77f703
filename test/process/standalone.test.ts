/** Without a supervisor the same program works: everything but moving. And what the handles of sessions refuse. */
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { startNode } from '../harness/child.js'
import { Oracle } from '../harness/oracle.js'
import { ask } from '../harness/prober.js'
import { READY } from '../harness/supervisor.js'

t.test('join stands alone; sessions, listeners and their mistakes', async (t) => {
  const child = startNode(t, 'test/fixtures/standalone-server.js')
  const port = Number((await child.line(/^ready port=(\d+)$/))[1])
  const socket = connect({ port, host: '127.0.0.1' })
  socket.end('hello')
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  t.equal(bytes.toString(), 'hello')
  t.same(await child.closed, { code: 0, signal: null }, 'nothing of the library keeps the process alive')

  const said = child.lines.filter((line) => line.startsWith('said ')).map((line) => JSON.parse(line.slice(5)))
  const answer = (what: string): unknown => said.find(([asked]) => asked === what)?.[1]
  t.equal(child.lines[0], 'supervised=false generation=1')
  t.match(answer('kind twice'), /^HANDOVER_USAGE: .*"one" is declared already/)
  t.match(answer('state twice'), /^HANDOVER_USAGE: .*"totals" is declared already/)
  t.match(answer('no restore'), /^HANDOVER_USAGE: .*restore must be a function/)
  t.match(answer('version 0'), /^HANDOVER_USAGE: .*version must be a positive integer, not 0/)
  t.match(answer('no name'), /^HANDOVER_USAGE: .*needs a name/)
  t.equal(answer('open gives back'), true)
  t.match(answer('open again'), /^HANDOVER_USAGE: the socket is a session of kind "one" already/)
  t.match(answer('open as the other kind'), /^HANDOVER_USAGE: the socket is a session of kind "one" already/)
  t.same(answer('get'), [true, true])
  t.same(answer('iteration'), [true])
  t.same(answer('sizes'), ['one', 1, 'two', 0])
  t.same(answer('leave'), [true, false, 0])
  t.equal(answer('other kind after it'), true)
  t.match(answer('tls'), /^HANDOVER_NOT_MOVABLE: .*TLS/)
  t.match(answer('unconnected'), /^HANDOVER_NOT_MOVABLE: .*not connected/)
  t.match(answer('no socket'), /^HANDOVER_NOT_MOVABLE: .*not a net.Socket/)
  t.match(answer('destroyed'), /^HANDOVER_NOT_MOVABLE: .*destroyed/)
  t.same(answer('after close'), [0, 0])
  t.equal(answer('port'), 'HANDOVER_USAGE')
  t.equal(answer('name twice'), 'HANDOVER_USAGE')
  t.equal(answer('taken'), 'HANDOVER_LISTEN_REFUSED')
  t.match(answer('declared too late'), /^HANDOVER_USAGE: .*comes after ready\(\)/)
  t.equal(answer('ready twice'), 'HANDOVER_USAGE')
  t.equal(answer('join twice'), 'HANDOVER_USAGE')
  t.equal(answer('retired'), false)
})

t.test('the server of the other tests serves alone as it does under a supervisor', async (t) => {
  const child = startNode(t, 'test/fixtures/stream-server.js')
  const port = Number((await child.line(READY))[4])
  const oracle = await Oracle.open({ port, seed: 1, push: 500_000, headerBytes: 3 })
  oracle.completeHeader()
  oracle.send(10_000)
  await oracle.finish()
  t.match(await ask(port), { generation: 1, pid: child.pid, connections: 2 })
  t.same(await child.kill('SIGTERM'), { code: null, signal: 'SIGTERM' }, 'the library takes no signal')
})

t.test('a channel that is none is a mistake of whoever set it', async (t) => {
  for (const [value, code] of [
    ['three', 'HANDOVER_USAGE'],
    ['-1', 'HANDOVER_USAGE'],
    ['999', 'EBADF'],
  ] as const) {
    const child = startNode(t, 'test/fixtures/stream-server.js', [], { env: { HANDOVER_CHANNEL: value } })
    t.equal((await child.closed).code, 1)
    t.ok(
      child.lines.some((line) => line.includes(code)),
      value,
      { lines: child.lines },
    )
  }
})
