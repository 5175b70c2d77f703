/** The examples as their users run them: an upgrade under a client that goes on, and back. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { EventSource } from 'eventsource'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import type { Player } from '../../examples/game/game.js'
import { compiled } from '../harness/child.js'
import { startSupervisor, type TestSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

interface Running {
  readonly supervisor: TestSupervisor
  readonly port: number
  readonly upgrade: (moved?: number) => Promise<void>
}

async function run(t: Test, path: string): Promise<Running> {
  const supervisor = startSupervisor(t, { command: ['node', compiled(path)], env: { PORT: '0' } })
  const port = Number((await supervisor.child.line(/^serves 127\.0\.0\.1:(\d+) /))[1])
  const upgrade = async (moved?: number): Promise<void> => {
    const { exitCode, json } = await supervisor.upgrade()
    t.match({ exitCode, json }, { exitCode: 0, json: { outcome: 'committed', sessions: { dropped: 0 } } })
    if (moved !== undefined) t.equal(json?.sessions.moved, moved)
  }
  return { supervisor, port, upgrade }
}

t.test('fastify-sse: every reading once, and what was missed', async (t) => {
  const { supervisor, port, upgrade } = await run(t, 'examples/fastify-sse/server.js')
  const origin = `http://127.0.0.1:${port}`
  const post = async (sensor: string, value: number) => {
    const headers = { 'content-type': 'application/json', connection: 'close' }
    const answer = await fetch(`${origin}/readings`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ sensor, value }),
    })
    return answer.json()
  }
  const values: number[] = []
  let opened = 0
  const source = new EventSource(`${origin}/events?sensor=roof`)
  t.teardown(() => source.close())
  source.onopen = () => void opened++
  source.addEventListener('reading', ({ data }) => values.push((JSON.parse(data) as { value: number }).value))
  await until(() => opened === 1, 'the stream')
  t.match(await post('roof', 1), { id: 1, told: 1 })
  t.match(await post('cellar', -1), { id: 2, told: 0 })
  await upgrade(1)
  t.match(await post('roof', 2), { id: 3, told: 1 })
  await upgrade(1)
  t.match(await post('roof', 3), { id: 4, told: 1 })
  await until(() => values.length === 3, 'three readings')
  t.same({ values, opened }, { values: [1, 2, 3], opened: 1 })
  const late = await fetch(`${origin}/events`, { headers: { 'last-event-id': '2' } })
  const { value } = (await late.body!.getReader().read()) as { value: Uint8Array }
  t.match(String(Buffer.from(value)), /^retry: 1000/)
  await late.body?.cancel().catch(() => undefined)
  source.close()
  t.equal((await supervisor.stop()).exitCode, 0)
})

interface Shown {
  readonly players: readonly (Player & { score: number })[]
  readonly generation: number
  readonly leftMs: number
  readonly cells: readonly number[]
}

t.test('game: same player, same place, and the round goes on', async (t) => {
  const { supervisor, port, upgrade } = await run(t, 'examples/game/server.js')
  const games = (['websocket', 'polling'] as const).map((transport) => {
    const socket = io(`http://127.0.0.1:${port}`, { transports: [transport], forceNew: true })
    t.teardown(() => socket.disconnect())
    const game = { socket, connects: 0, shown: undefined as Shown | undefined }
    socket.on('connect', () => void game.connects++)
    socket.on('game', (shown: Shown) => {
      game.shown = shown
    })
    return game
  })
  const sees = (what: string, fact: (shown: Shown) => boolean) =>
    until(() => games.every(({ shown }) => shown !== undefined && fact(shown)), what)
  const mine = ({ socket, shown }: (typeof games)[number]) => shown?.players.find(({ id }) => id === socket.id)
  await sees('two players', ({ players }) => players.length === 2)
  const ids = games.map(({ socket }) => socket.id)
  for (const { socket } of games) for (let step = 0; step < 3; step++) socket.emit('step', 'right')
  await sees('four cells each', ({ players }) => players.every(({ score }) => score === 4))
  const before = games.map(mine)
  const leftMs = games[0]!.shown!.leftMs
  await upgrade()
  await sees('the successor', ({ generation }) => generation === 2)
  t.same(games.map(mine), before, 'where they were')
  t.ok(games[0]!.shown!.leftMs < leftMs, 'the round was not begun anew')
  for (const { socket } of games) socket.emit('step', 'down')
  await sees('five cells each', ({ players }) => players.every(({ score }) => score === 5))
  await upgrade()
  await sees('the third', ({ generation }) => generation === 3)
  t.same(
    games.map(({ socket }) => socket.id),
    ids,
  )
  t.same(
    games.map(({ connects }) => connects),
    [1, 1],
    'nobody has connected twice',
  )
  for (const { socket } of games) socket.disconnect()
  t.equal((await supervisor.stop()).exitCode, 0)
})

t.test('udp: peers are known through upgrades, and every datagram is relayed once', async (t) => {
  const { supervisor, port, upgrade } = await run(t, 'examples/udp/server.js')
  const peers = await Promise.all(
    [0, 1].map(async () => {
      const socket = createSocket('udp4')
      t.teardown(() => socket.close())
      const heard: string[] = []
      socket.on('message', (message) => heard.push(String(message)))
      socket.bind(0, '127.0.0.1')
      await within(once(socket, 'listening'), 'a peer')
      return { heard, say: (text: string) => socket.send(text, port, '127.0.0.1'), port: socket.address().port }
    }),
  )
  const [one, other] = peers as [(typeof peers)[number], (typeof peers)[number]]
  const talk = async (round: number, generation: number) => {
    one.say(`hello ${round}`)
    await until(() => other.heard.includes(`127.0.0.1:${one.port} #${round}: hello ${round}`), `datagram ${round}`)
    await until(() => one.heard.includes(`ok ${round}, 2 peers, generation ${generation}\n`), `answer ${round}`)
  }
  other.say('here')
  await until(() => other.heard.length === 1, 'the first answer')
  await talk(1, 1)
  await upgrade(0)
  await talk(2, 2)
  await upgrade(0)
  await talk(3, 3)
  t.equal(other.heard.length, 4, 'each once')
  t.equal((await supervisor.stop()).exitCode, 0)
})
