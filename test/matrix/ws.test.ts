/** WebSockets from each release of ws to another, and from each Node to another. */
import t, { type Test } from 'tap'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { frame, PING, RawWebSocket, TEXT } from '../harness/raw-websocket.js'
import { scaled } from '../harness/timeout.js'
import { startWs, WS_SERVER, type WsStage } from '../harness/websocket.js'
import { WsClient } from '../harness/ws-client.js'
import { WS_VERSIONS, wsPackage } from '../harness/ws-versions.js'

t.setTimeout(scaled(110_000))

const committed = { outcome: 'committed', sessions: { dropped: 0, refused: 0, drained: 0 } }
/** Twice the same noise: what is compressed with the context of the first is a few bytes. */
const noise = Array.from({ length: 2_000 }, (_, index) => String.fromCharCode(34 + ((index * index * 7) % 90))).join('')

/** Through two upgrades, of clients in the middle of a message and with a compression context. */
async function through(t: Test, stage: WsStage, ways: string[][]) {
  const whole = await WsClient.open(stage.port, { protocols: ['one', 'two'] })
  const half = await RawWebSocket.open(stage)
  const text = frame(TEXT, 'cut here')
  t.equal(await whole.ask(noise), `1 ${noise}`)
  const facts = JSON.parse(await whole.ask('!facts'))
  half.send(frame(TEXT, 'frag', { fin: false }), frame(PING, ''), frame(0, 'mented'), text.subarray(0, 9))
  await half.gets(2)
  for (const way of ways) {
    t.match((await stage.supervisor.upgrade(...way)).json, committed, way.join(' '))
    t.match(await whole.ask(noise), noise)
    t.match(JSON.parse(await whole.ask('!facts')), {
      url: facts.url,
      protocol: 'two',
      extensions: facts.extensions,
      clients: 2,
    })
  }
  half.send(text.subarray(9))
  await half.gets(3)
  t.same(half.texts.slice(-1), ['2 cut here'])
  t.same(stage.lines(/^(closed|error) /), [])
  whole.socket.close()
  half.socket.destroy()
}

for (const version of WS_VERSIONS) {
  t.test(`ws ${version}, to the newest and back`, async (t) => {
    const library = await wsPackage(version)
    if (library === undefined) {
      t.comment(`skipped: ws ${version} could not be had from the registry`)
      return
    }
    const stage = await startWs(t, ['--deflate', 'takeover', '--library', library])
    const newest = ['--', 'node', WS_SERVER, '--deflate', 'takeover', '--precopy', 'touch']
    await through(t, stage, [newest, ['--', 'node', WS_SERVER, ...stage.args]])
  })
}

t.test('each Node', async (t) => {
  const binaries = await Promise.all(NODE_MAJORS.map((major) => nodeBinary(major)))
  if (binaries.includes(undefined)) {
    t.comment(`skipped: ${NO_NODE}`)
    return
  }
  const [oldest] = binaries as string[]
  const stage = await startWs(t, ['--deflate', 'takeover'], ['--node', oldest as string])
  const newest = binaries.at(-1) as string
  const ways = [newest, oldest as string, ...(binaries.slice(1, -1) as string[]), newest]
  await through(
    t,
    stage,
    ways.map((node) => ['--node', node]),
  )
})
