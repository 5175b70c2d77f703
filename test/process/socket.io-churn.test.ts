/** Clients that come and go all the time: handshakes, probes and middlewares are under way whenever an upgrade comes. */
import t from 'tap'
import { Hall, WAYS } from '../harness/socket.io.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(90_000))

const WORKERS = 4
const UPGRADES = 5

t.test('every client connects, is answered, and goes when it wants to', async (t) => {
  const hall = await Hall.start(t, { options: ['--drain', '10s'] })
  let isOver = false
  let clients = 0
  async function work(index: number): Promise<void> {
    const way = WAYS[index % WAYS.length] ?? 'polling'
    const namespace = index % 2 === 0 ? '' : '/slow'
    while (!isOver) {
      const guest = await hall.enter(way, namespace)
      const { socket } = guest
      for (let words = 1; words <= 3; words++) {
        const [word] = await guest.ask<[number]>('echo', words)
        if (word !== words) throw new Error(`${words} was answered with ${word}`)
        const [count] = await guest.ask<[number]>('count')
        if (count !== words) throw new Error(`${count} is not ${words}`)
      }
      const { ends } = guest
      socket.disconnect()
      if (ends.join() !== 'io client disconnect') throw new Error(`${way} ended: ${ends}`)
      clients++
    }
  }
  const workers = Array.from({ length: WORKERS * WAYS.length }, (_, index) => work(index))
  const all = Promise.all(workers)
  all.catch(() => undefined)
  for (let upgrades = 1; upgrades <= UPGRADES; upgrades++) {
    const { json, lines } = await hall.supervisor.upgrade()
    t.match(json, { outcome: 'committed' }, `upgrade ${upgrades}`, { lines })
  }
  isOver = true
  await all
  t.comment(`${clients} clients`)
  t.ok(clients > 0)
  const last = await hall.enter('polling')
  // The last requests of those that have gone are on their way.
  let counted: number
  const giveUpAt = performance.now() + scaled(10_000)
  do counted = (await last.who()).clients
  while (counted > 1 && performance.now() < giveUpAt)
  t.equal(counted, 1, 'who has gone is not counted')
  t.equal((await hall.supervisor.stop()).exitCode, 0)
})
