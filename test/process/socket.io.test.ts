/** Socket.IO clients go on in the successor: the same sockets, rooms, data and acknowledgements. */
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { descriptorSorts } from '../harness/census.js'
import { type Guest, Hall, SOCKET_IO_SERVER, WAYS, type Way } from '../harness/socket.io.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(90_000))

async function enterAll(hall: Hall): Promise<Map<string, Guest>> {
  const guests = new Map<string, Guest>()
  for (const way of WAYS) {
    guests.set(way, await hall.enter(way))
    guests.set(`${way} /admin`, await hall.enter(way, '/admin', { auth: { key: 'sesame' } }))
    guests.set(`${way} /room-7`, await hall.enter(way, '/room-7', { query: { seat: '3' } }))
  }
  return guests
}

/** Polls come and go: looked at until it is as it was, or for some seconds. */
async function descriptorsLike(expected: Record<string, number>, pid: number): Promise<Record<string, number>> {
  const giveUpAt = performance.now() + scaled(5_000)
  for (;;) {
    const now = descriptorSorts(pid)
    if (isDeepStrictEqual(now, expected) || performance.now() > giveUpAt) return now
    await setImmediate()
  }
}

async function ends(t: Test, hall: Hall, guests: Iterable<Guest>): Promise<void> {
  for (const { ends } of guests) t.same(ends, [], 'no client was disconnected')
  t.same(hall.said(/^disconnect .*transport/), [], 'and no server has seen one go')
  t.equal((await hall.supervisor.stop()).exitCode, 0)
  t.same(hall.supervisor.processes(), [])
}

t.test(
  'id, rooms, data, namespaces and handshake are the same after five upgrades, and an aborted one before each',
  async (t) => {
    const hall = await Hall.start(t)
    const guests = await enterAll(hall)
    const before = new Map<string, { id: string | undefined; own: string[]; handshake: unknown }>()
    for (const [name, guest] of guests) {
      await guest.ask('join', 'hall')
      const { own, handshake } = await guest.who()
      before.set(name, { id: guest.socket.id, own: own.sort(), handshake })
    }
    let descriptors: Record<string, number> | undefined
    for (let upgrades = 1; upgrades <= 5; upgrades++) {
      if (upgrades < 3) await hall.abortedUpgrade()
      const { pid } = await (guests.get('websocket') as Guest).who()
      const { json, lines } = await hall.supervisor.upgrade()
      t.match(json, { outcome: 'committed', sessions: { dropped: 0, refused: 0 } }, `upgrade ${upgrades}`, { lines })
      for (const [name, guest] of guests) {
        const [count, generation] = await guest.ask<[number, number]>('count')
        t.equal(count, upgrades, `${name}: its data went with it`)
        const who = await guest.who()
        t.not(who.pid, pid)
        t.equal(who.generation, generation)
        t.same({ id: guest.socket.id, own: who.own.sort(), handshake: who.handshake }, before.get(name), name)
        t.equal(who.clients, 9, 'the engine counts all')
        if (!name.includes('/')) t.equal(who.sockets, 3)
      }
      const serving = (await (guests.get('websocket') as Guest).who()).pid
      if (descriptors === undefined) descriptors = descriptorSorts(serving)
      else t.same(await descriptorsLike(descriptors, serving), descriptors, 'no descriptor was left behind')
    }
    const speaker = guests.get('polling') as Guest
    speaker.socket.emit('say', 'hall', 'hello')
    for (const way of WAYS) t.same(await (guests.get(way) as Guest).hears('said'), [['said', 'hello']], 'once')
    t.match(hall.said(/recovered=true/), { length: 9 * 5 }, 'handlers were attached once for each client and upgrade')
    await ends(t, hall, guests.values())
  },
)

t.test(
  'acknowledgements come to the callback that waits, wherever it is, and handlers that still run are heard',
  async (t) => {
    const hall = await Hall.start(t, { options: ['--drain', '60s'] })
    const guests = new Map<Way, Guest>()
    for (const way of WAYS) guests.set(way, await hall.enter(way))
    const answers: (() => void)[] = []
    const later: Promise<[string]>[] = []
    const [first] = guests.values()
    const { pid } = await first!.who()
    for (const [way, guest] of guests) {
      guest.socket.on('question', (text, answer) => void answers.push(() => answer(text)))
      guest.socket.emit('question', 'before')
      later.push(guest.ask<[string]>('later', way))
    }
    await until(() => answers.length === 3, 'the questions')
    // Both are with the server by now: a client's packets are in order.
    for (const guest of guests.values()) await guest.ask('echo', 'in order')
    const upgrading = hall.supervisor.upgrade()
    await until(() => hall.said(/recovered=true/).length === 3, 'the successor')
    for (const guest of guests.values()) t.not((await guest.who()).pid, pid)
    // New questions of the successor and old ones of the predecessor are not taken for each other.
    for (const guest of guests.values()) guest.socket.emit('question', 'after')
    for (const guest of guests.values()) await guest.hears('question', 2)
    await until(() => answers.length === 6, 'the questions')
    for (const answer of answers) answer()
    for (const guest of guests.values()) {
      const answered = new Map((await guest.hears('answered', 2)).map(([, text, by]) => [text, by]))
      t.equal(answered.get('before'), pid, 'the predecessor has the answer to its question')
      t.not(answered.get('after'), pid, 'and the successor to its own')
    }
    process.kill(pid, 'SIGUSR2')
    for (const [index, [way, guest]] of [...guests].entries()) {
      t.same(await later[index], [`${way} from ${pid}`], 'the handler that was under way has answered')
      t.same((await guest.hears('all', 3)).map(([, text]) => text).sort(), [
        'polling to all',
        'upgrade to all',
        'websocket to all',
      ])
      t.same(await guest.hears('said'), [['said', `${way} to one`]])
      t.ok((await guest.who()).own.includes(`${way} room`), 'and has joined a room')
    }
    const { json, lines } = await upgrading
    t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'nothing was dropped', { lines })
    for (const guest of guests.values()) t.equal(guest.heard.filter(([name]) => name === 'all').length, 3, 'each once')
    await ends(t, hall, guests.values())
  },
)

t.test('binary, in both directions, and a namespace that the successor does not let in', async (t) => {
  const hall = await Hall.start(t)
  const guests: Guest[] = []
  for (const way of WAYS) guests.push(await hall.enter(way))
  const big = Buffer.alloc(200_000, 7)
  for (let upgrades = 0; upgrades < 2; upgrades++) {
    t.equal((await hall.supervisor.upgrade()).json?.outcome, 'committed')
    for (const guest of guests) {
      const [small, echo] = await guest.ask<[Buffer, { deep: Buffer }]>('echo', Buffer.from([1, 2]), { deep: big })
      t.same([...small], [1, 2])
      t.equal(Buffer.compare(Buffer.from(echo.deep), big), 0)
    }
  }
  const stranger = hall.enter('websocket', '/admin', { auth: { key: 'wrong' } })
  await t.rejects(stranger, /no entry/)
  await ends(t, hall, guests)
})

t.test('what is no session of this release refuses the upgrade', async (t) => {
  const hall = await Hall.start(t)
  const guest = await hall.enter('websocket')
  await guest.ask('sabotage')
  const { json } = await hall.supervisor.upgrade('--', 'node', SOCKET_IO_SERVER, '--refuse')
  t.match(json, { outcome: 'refused', reasons: [{ kind: 'socket.io', reason: /sabotage/ }] })
  t.same(await guest.ask('count'), [1, 1])
  await ends(t, hall, [guest])
})
