/** An upgrade, and one that is aborted at its last step, at every byte of an exchange that has everything RFC 6455 has. */
import { deflateRawSync, constants as zlib } from 'node:zlib'
import t from 'tap'
import { BINARY, CLOSE, frame, PING, PONG, RawWebSocket, TEXT } from '../harness/raw-websocket.js'
import { scaled, until } from '../harness/timeout.js'
import { startWs } from '../harness/websocket.js'

t.setTimeout(scaled(110_000))

/** RFC 7692, 7.2.1: flushed, without the four bytes that every flush ends in. */
const deflated = (text: string): Buffer =>
  deflateRawSync(Buffer.from(text), { finishFlush: zlib.Z_SYNC_FLUSH }).subarray(0, -4)

const PLAIN: readonly Buffer[] = [
  frame(TEXT, 'hellö'),
  frame(TEXT, 'frag', { fin: false }),
  frame(PING, 'note'),
  frame(0, 'men', { fin: false }),
  frame(PONG, ''),
  frame(0, 'ted'),
  frame(BINARY, ''),
  frame(BINARY, Buffer.alloc(126, 1)),
  frame(PING, ''),
  frame(CLOSE, Buffer.concat([Buffer.from([0x03, 0xe8]), Buffer.from('bye')])),
]
const PLAIN_ANSWERS = [
  [TEXT, '1 hellö'],
  [PONG, 'note'],
  [TEXT, '2 fragmented'],
  [BINARY, '3 '],
  [BINARY, `4 ${'\x01'.repeat(126)}`],
  [PONG, ''],
  [CLOSE, '\x03\xe8bye'],
]
const COMPRESSED: readonly Buffer[] = [
  frame(TEXT, deflated('hello hello hello'), { rsv1: true }),
  frame(PING, 'note'),
  frame(TEXT, 'plain'),
  frame(TEXT, deflated('frag fragmented').subarray(0, 5), { rsv1: true, fin: false }),
  frame(PING, ''),
  frame(0, deflated('frag fragmented').subarray(5)),
  frame(CLOSE, ''),
]

const OFFERS: Record<string, readonly string[]> = {
  takeover: ['Sec-WebSocket-Extensions: permessage-deflate'],
  fresh: ['Sec-WebSocket-Extensions: permessage-deflate'],
}

for (const [precopy, bare] of [['none'], ['touch'], ['compare'], ['none', '--bare']] as const) {
  t.test(`plain, precopy ${precopy} ${bare ?? ''}`, async (t) => {
    const args = ['--precopy', precopy, ...(bare === undefined ? [] : [bare])]
    const stage = await startWs(t, args)
    const exchange = Buffer.concat(PLAIN)
    const cuts = Array.from({ length: exchange.length + 1 }, (_, cut) => cut)
    const clients = await Promise.all(cuts.map(() => RawWebSocket.open({ port: stage.port })))
    const { bytes: before } = await stage.read()
    for (const [cut, client] of clients.entries()) client.send(exchange.subarray(0, cut))
    const sent = cuts.reduce((sum, cut) => sum + cut, 0)
    await stage.hasRead(before + sent - exchange.length)
    // The one that has closed is gone.
    await clients.at(-1)?.isEnded()

    const aborted = await stage.abortedUpgrade()
    t.match(aborted.json, { outcome: 'refused', sessions: { moved: 0 } })
    t.same(stage.lines(/^(closed|error) /).length, 1, 'nobody was closed')
    const { json } = await stage.supervisor.upgrade()
    t.match(json, { outcome: 'committed', sessions: { moved: cuts.length, drained: 0, dropped: 0, refused: 0 } })
    t.same(stage.lines(/^(closed|error) /).length, 1, 'nobody was closed')
    t.equal((await stage.read()).clients, cuts.length - 1)

    for (const [cut, client] of clients.slice(0, -1).entries()) client.send(exchange.subarray(cut))
    const wrong: unknown[] = []
    for (const [cut, client] of clients.entries()) {
      await client.isEnded()
      const answers = client.frames.map(({ opcode, payload }) => [
        opcode,
        payload.toString(opcode === CLOSE ? 'latin1' : 'utf8'),
      ])
      const expected =
        bare === undefined
          ? PLAIN_ANSWERS
          : PLAIN_ANSWERS.map(([opcode, text]) => [
              opcode,
              opcode === TEXT || opcode === BINARY ? String(text).replace(/^\d /, '') : text,
            ])
      if (JSON.stringify(answers) !== JSON.stringify(expected)) wrong.push([cut, client.error, answers])
    }
    t.same(wrong, [])
    await until(() => stage.lines(/^closed /).length === clients.length, 'the end of all')
    t.equal((await stage.read()).clients, 0)
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}

for (const kind of ['takeover', 'fresh']) {
  t.test(`compressed, ${kind}`, async (t) => {
    const stage = await startWs(t, ['--deflate', kind, '--precopy', 'touch'])
    const exchange = Buffer.concat(COMPRESSED)
    const cuts = Array.from({ length: exchange.length }, (_, cut) => cut)
    const open = () => RawWebSocket.open({ port: stage.port, headers: OFFERS[kind] as string[] })
    const whole = await open()
    whole.send(exchange)
    await whole.isEnded()
    const clients = await Promise.all(cuts.map(open))
    const { bytes: before } = await stage.read()
    for (const [cut, client] of clients.entries()) client.send(exchange.subarray(0, cut))
    await stage.hasRead(before + cuts.reduce((sum, cut) => sum + cut, 0))

    const aborted = await stage.abortedUpgrade()
    t.match(aborted.json, { outcome: 'refused', sessions: { moved: 0 } })
    const ended = stage.supervisor.upgrade()
    await stage.supervisor.child.line(/^ready .*generation=3/)
    for (const [cut, client] of clients.entries()) client.send(exchange.subarray(cut))
    const wrong: unknown[] = []
    for (const [cut, client] of clients.entries()) {
      await client.isEnded()
      const answers = client.frames.map(({ opcode, payload }) => [opcode, payload.toString('latin1')])
      const expected = whole.frames.map(({ opcode, payload }) => [opcode, payload.toString('latin1')])
      if (JSON.stringify(answers) !== JSON.stringify(expected)) wrong.push([cut, client.error, answers, expected])
    }
    t.same(wrong.slice(0, 5), [])
    const { json } = await ended
    t.match(json, { outcome: 'committed', sessions: { dropped: 0, refused: 0 } })
    t.comment(JSON.stringify(json?.sessions), JSON.stringify(json?.reasons), JSON.stringify(json?.followed))
    t.equal((await stage.supervisor.stop()).exitCode, 0)
  })
}
