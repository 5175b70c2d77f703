/** The ways in which apps get their WebSockets, and clients of other makes. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { WebSocket as Undici } from 'undici'
import { startChild } from '../harness/child.js'
import { RawWebSocket } from '../harness/raw-websocket.js'
import { scaled, until, within } from '../harness/timeout.js'
import { startWs } from '../harness/websocket.js'
import { WsClient } from '../harness/ws-client.js'

t.setTimeout(scaled(110_000))

const committed = { outcome: 'committed', sessions: { dropped: 0, refused: 0, drained: 0 } }

for (const mode of ['noserver', 'fastify', 'express']) {
  for (const bare of [['--bare'], []]) {
    t.test(`${mode} ${bare.length > 0 ? 'by its routes' : 'by a definition'}`, async (t) => {
      const stage = await startWs(t, ['--mode', mode, ...bare])
      const clients = await Promise.all(
        [1, 2, 3].map(() => WsClient.open(stage.port, { headers: { 'x-test': 'yes' } })),
      )
      const [first, second, third] = clients as [WsClient, WsClient, WsClient]
      for (const each of clients) t.match(await each.ask('a'), /a$/)
      t.match((await stage.abortedUpgrade()).json, { outcome: 'refused' })
      for (const generation of [3, 4]) {
        // Said before the successor's route has taken it.
        const ended = stage.supervisor.upgrade()
        second.say('in between')
        t.match((await ended).json, committed)
        t.match(await second.next(), /in between$/)
        const facts = JSON.parse(await first.ask('!facts'))
        t.match(facts, {
          name: `release=1 generation=${generation}`,
          clients: 3,
          known: 3,
          header: 'yes',
          adopted: true,
        })
        if (mode !== 'express' || bare.length > 0) t.match(facts.url, /^\/room\/kitchen/)
        t.match(await second.ask('b'), /b$/)
      }
      third.say('!broadcast all')
      for (const each of clients) t.equal(await each.next(), 'to all: all')
      t.same(stage.lines(/^(closed|error) /), [])
      for (const each of clients) each.socket.close(4002)
      await until(() => stage.lines(/^closed .*generation=4 code=4002/).length === 3, 'the end of all')
      t.equal((await stage.supervisor.stop()).exitCode, 0)
    })
  }
}

t.test('a route that refuses this time', async (t) => {
  const stage = await startWs(t, ['--mode', 'noserver', '--bare'])
  const raw = await RawWebSocket.open({ port: stage.port, path: '/lobby' })
  const kept = await RawWebSocket.open({ port: stage.port })
  const { WS_SERVER } = await import('../harness/websocket.js')
  const command = ['node', WS_SERVER, ...stage.args, '--refuse', '/lobby']
  t.match((await stage.supervisor.upgrade('--', ...command)).json, { outcome: 'committed' })
  const [close] = await raw.gets(1)
  t.match(close, { opcode: 8 })
  t.equal(close?.payload.readUInt16BE(0), 1008)
  kept.say('here')
  t.equal((await kept.gets(1))[0]?.payload.toString(), 'here')
  for (const each of [raw, kept]) each.socket.destroy()
})

const PYTHON = `
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], compression=(None if sys.argv[2] == 'plain' else 'deflate')) as ws:
        number = 0
        print('open', flush=True)
        loop = asyncio.get_event_loop()
        stop = loop.run_in_executor(None, sys.stdin.readline)
        while not stop.done():
            number += 1
            text = f'{number % 5} ' + 'lorem ipsum ' * (number % 40)
            await ws.send(text)
            if number % 10 == 0:
                await ws.ping()
            answer = await ws.recv()
            if answer != f'{number} {text}':
                print('wrong', number, answer[:60], flush=True)
                return
            if number % 50 == 0:
                print('at', number, flush=True)
            await asyncio.sleep(0.001)
        print('right', flush=True)
asyncio.run(main())
`

const hasPython = (() => {
  try {
    execFileSync('python3', ['-c', 'import websockets'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

for (const deflate of ['none', 'takeover']) {
  const skip = hasPython ? false : 'python3 with websockets is not installed (apt: python3-websockets)'
  t.test(`a client in Python, deflate ${deflate}`, { skip }, async (t) => {
    const stage = await startWs(t, ['--deflate', deflate])
    const url = `ws://127.0.0.1:${stage.port}/room/kitchen`
    const client = startChild(t, 'python3', ['-c', PYTHON, url, deflate === 'none' ? 'plain' : 'deflate'])
    await client.line(/^open$/)
    for (const upgrade of [1, 2]) {
      await client.line(/^at /, client.lines.length)
      t.match((await stage.supervisor.upgrade()).json, committed, `upgrade ${upgrade}`)
    }
    await client.line(/^at /, client.lines.length)
    client.write('stop\n')
    await client.line(/^right$/)
    t.equal((await client.exited).code, 0)
    await stage.supervisor.child.line(/^closed .*generation=3 code=1000/)
  })
}

t.test('a client of undici', async (t) => {
  const stage = await startWs(t, ['--deflate', 'takeover'])
  const client = new Undici(`ws://127.0.0.1:${stage.port}/room/kitchen`)
  const got: string[] = []
  client.addEventListener('message', ({ data }) => got.push(String(data)))
  await within(once(client as never, 'open'), 'a WebSocket of undici')
  for (let round = 1; round <= 3; round++) {
    for (let index = 0; index < 20; index++) client.send(`round ${round} ${'x'.repeat(index * 100)}`)
    t.match((await stage.supervisor.upgrade()).json, committed)
    await until(() => got.length === round * 20, 'the answers')
  }
  const expected = Array.from(
    { length: 60 },
    (_, i) => `${i + 1} round ${1 + Math.floor(i / 20)} ${'x'.repeat((i % 20) * 100)}`,
  )
  t.same(got, expected)
  client.close()
  await stage.supervisor.child.line(/^closed .*generation=4/)
})
