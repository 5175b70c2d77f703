/** What was left to send when a WebSocket was copied, and what became of it by its last copy. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import WebSocket, { WebSocketServer } from 'ws'
import { Arrival } from '../../src/adapters/ws/session.js'
import type { Moved, Waiting } from '../../src/runtime/websocket/record.js'
import { until, within } from '../harness/timeout.js'

const said = (data: string): Waiting => ({ opcode: 1, fin: true, compress: false, data })
const copies: Record<string, string[][]> = {
  'nothing ever waited': [[]],
  'what waited in the last copy': [['a', 'b']],
  'the last copy has less than the one before it': [['a', 'b'], ['b']],
  'in the last copy nothing waits any more': [['a'], []],
  'it waits again': [['a'], [], ['c']],
}

for (const [name, rounds] of Object.entries(copies)) {
  t.test(name, async (t) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    t.teardown(() => server.close())
    await within(once(server, 'listening'), 'the server')
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const [[webSocket]] = (await within(
      Promise.all([once(server, 'connection'), once(client, 'open')]),
      'a WebSocket',
    )) as [[WebSocket], unknown]
    t.teardown(() => client.terminate())
    const heard: string[] = []
    client.on('message', (data) => heard.push(String(data)))

    const arrival = new Arrival(webSocket)
    for (const round of rounds) arrival.update({ waiting: round.map(said) } as unknown as Moved)
    webSocket.send('in restore')
    arrival.send()
    arrival.receive()
    webSocket.send('live')
    const expected = [...rounds.at(-1)!, 'in restore', 'live']
    await until(
      () => heard.length >= expected.length,
      () => `${expected.join()}; there is ${heard.join()}`,
    )
    t.same(heard, expected)
  })
}
