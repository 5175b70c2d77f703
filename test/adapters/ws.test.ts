/** What an app sees of its WebSockets through an upgrade, with the clients of the library itself. */
import t from 'tap'
import { WebSocketServer } from 'ws'
import { frame, RawWebSocket, TEXT } from '../harness/raw-websocket.js'
import { scaled, until } from '../harness/timeout.js'
import { startWs, WS_SERVER, type WsStage } from '../harness/websocket.js'
import { WsClient } from '../harness/ws-client.js'

t.setTimeout(scaled(110_000))

const committed = { outcome: 'committed', sessions: { dropped: 0, refused: 0, drained: 0 } }

/** Aborted, then committed. */
async function upgrade(
  t: Pick<typeof import('tap'), 'match'>,
  stage: WsStage,
  expected: object = committed,
): Promise<void> {
  const { json: aborted } = await stage.abortedUpgrade()
  t.match(aborted, { outcome: 'refused', sessions: { moved: 0 } }, 'one that is aborted')
  const { json } = await stage.supervisor.upgrade('--', 'node', WS_SERVER, ...stage.args, '--release', '2')
  t.match(json, expected)
}

for (const how of [[], ['--precopy', 'touch'], ['--precopy', 'compare'], ['--bare']]) {
  t.test(`what the app sees: ${how.join(' ')}`, async (t) => {
    const stage = await startWs(t, how)
    const client = await WsClient.open(stage.port, {
      path: '/room/kitchen?a=1',
      protocols: ['one', 'two'],
      headers: { 'x-test': 'yes' },
    })
    const paused = await WsClient.open(stage.port)
    const others = await Promise.all([WsClient.open(stage.port), WsClient.open(stage.port)])
    t.equal(await client.ask('!binary arraybuffer'), '"arraybuffer"')
    t.equal(await client.ask('!note mine'), '"mine"')
    t.equal(await paused.ask('!pause'), '"paused"')
    paused.say('said while it is paused')
    const before = JSON.parse(await client.ask('!facts'))
    t.match(before, { name: 'release=1 generation=1', url: '/room/kitchen?a=1', protocol: 'two', adopted: false })
    await upgrade(t, stage)
    const after = JSON.parse(await client.ask('!facts'))
    t.same(after, { ...before, name: 'release=2 generation=3', adopted: true })
    t.match(after, { clients: 4, known: 4, header: 'yes', method: 'GET', binaryType: 'arraybuffer', readyState: 1 })
    t.same(stage.lines(/^(closed|error) /), [], 'no handler of the end was called')
    t.equal(paused.got.length, 1, 'what is paused stays so')
    await client.ask('!resume-others')
    t.match(await paused.next(), /said while it is paused/)

    client.say('!broadcast hello')
    for (const each of [client, paused, ...others]) t.equal(await each.next(), 'to all: hello')
    client.socket.close(4001)
    await client.closed
    await stage.supervisor.child.line(/^closed release=2 generation=3 code=4001/)
    if (!how.includes('--bare')) t.equal(stage.lines(/^closed .* note=mine$/).length, 1)
    t.equal(JSON.parse(await paused.ask('!facts')).clients, 3)
    for (const each of [paused, ...others]) each.socket.terminate()
    await until(() => stage.lines(/^closed /).length === 4, 'the end of all')
    t.same(stage.lines(/^closed .*generation=[12]/), [])
  })
}

for (const deflate of ['none', 'takeover', 'fresh']) {
  t.test(`output that is under way, deflate ${deflate}`, async (t) => {
    const stage = await startWs(t, ['--deflate', deflate])
    const slow = await WsClient.open(stage.port)
    const half = await WsClient.open(stage.port)
    const blob = await WsClient.open(stage.port)
    slow.pause()
    slow.say('!push 100')
    half.say('!half')
    await until(() => half.bytesRead > 0, 'half a message')
    blob.say('!blob 30000000')
    await upgrade(t, stage)
    half.say('!other-half')
    t.equal(await half.next(), 'one half, other half')
    slow.resume()
    for (let index = 0; index < 100; index++) {
      const data = (await slow.nextData()) as Buffer
      if (data.length !== 100_000 || data[0] !== index || data[99_999] !== index) t.fail(`message ${index} is wrong`)
    }
    t.equal(((await blob.nextData()) as Buffer).length, 30_000_000)
    t.equal(await blob.next(), 'after the blob')
    for (const each of [slow, half, blob]) t.match(await each.ask('still here'), /still here$/)
    for (const each of [slow, half, blob]) each.socket.close()
  })
}

t.test('limits of a message go on from where they were', async (t) => {
  const stage = await startWs(t, ['--max-payload', '1000'])
  const inFragments = await RawWebSocket.open(stage)
  const inHeader = await RawWebSocket.open(stage)
  const within = await RawWebSocket.open(stage)
  inFragments.send(frame(TEXT, 'x'.repeat(600), { fin: false }))
  within.send(frame(TEXT, 'x'.repeat(600), { fin: false }))
  inHeader.send(frame(TEXT, 'x'.repeat(1001)).subarray(0, 3))
  await stage.hasRead(608 + 608 + 3)
  await upgrade(t, stage)
  inFragments.send(frame(0, 'x'.repeat(401)))
  within.send(frame(0, 'x'.repeat(400)))
  inHeader.send(frame(TEXT, 'x'.repeat(1001)).subarray(3))
  for (const each of [inFragments, inHeader]) {
    await each.gets(1)
    t.match(each.frames[0], { opcode: 8, payload: Buffer.from([0x03, 0xf1]) }, '1009: too big')
  }
  t.equal((await within.gets(1))[0]?.payload.length, 1002)
  for (const each of [inFragments, inHeader, within]) each.socket.destroy()
})

t.test('what cannot move now, and why', async (t) => {
  const stage = await startWs(t, [], ['--drain', '3s'])
  const held = await WsClient.open(stage.port)
  const closing = await RawWebSocket.open(stage)
  const stream = await WsClient.open(stage.port)
  t.equal(await held.ask('!hold'), '"held"')
  t.equal(await stream.ask('!stream'), '"streaming"')
  closing.say('!close later')
  await closing.gets(1)
  const ended = stage.supervisor.upgrade()
  await stage.supervisor.child.line(/^ready .*generation=2/)
  t.match(JSON.parse(await held.ask('!facts')), { name: 'release=1 generation=1' })
  held.socket.ping()
  let name = ''
  while (name !== 'release=1 generation=2') ({ name } = JSON.parse(await held.ask('!facts')) as { name: string })
  closing.send(frame(8, Buffer.from([0x0f, 0xa0])))
  await closing.isEnded()
  await stage.supervisor.child.line(/^closed release=1 generation=1 code=4000/)
  const { json } = await ended
  t.match(json, { outcome: 'committed', sessions: { moved: 1, drained: 1, dropped: 1 }, followed: { sessions: 1 } })
  const reasons = JSON.stringify(json?.reasons)
  for (const reason of [/in a transaction/, /closing handshake/, /createWebSocketStream/]) t.match(reasons, reason)
  held.socket.close()
})

t.test('a server of another kind is refused in words', async (t) => {
  const { ws } = await import('handover/ws')
  t.throws(() => ws({} as never, {} as never), { code: 'HANDOVER_USAGE', message: /WebSocketServer/ })
  const server = new WebSocketServer({ port: 0 })
  t.throws(() => ws({} as never, server), { code: 'HANDOVER_USAGE', message: /runtime\.listen/ })
  server.close()
})
