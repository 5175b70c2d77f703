/** Everything that is said to all is heard by each client exactly once, and in order, whatever is upgraded meanwhile. */
import t, { type Test } from 'tap'
import { type Guest, Hall, WAYS } from '../harness/socket.io.js'
import { scaled, until } from '../harness/timeout.js'

t.setTimeout(scaled(90_000))

const EACH = 3
const UPGRADES = 5
/** Words of each guest that are under way. */
const AHEAD = 3

/** Each guest says numbers to all, and each hears those of all. */
async function storm(t: Test, hall: Hall, isAborted: boolean, more: object = {}): Promise<void> {
  const guests: Guest[] = []
  for (const way of WAYS) for (let count = 0; count < EACH; count++) guests.push(await hall.enter(way, '', more))
  const said = guests.map(() => 0)
  let isOver = false
  const say = (index: number, guest: Guest): void => {
    const number = (said[index] ?? 0) + 1
    said[index] = number
    guest.socket.emit('all', index, number)
  }
  for (const [index, guest] of guests.entries()) {
    // Who has heard himself says the next: as many as the machine can take.
    guest.socket.on('all', (speaker: number) => {
      if (speaker === index && !isOver) say(index, guest)
    })
    for (let ahead = 0; ahead < AHEAD; ahead++) say(index, guest)
  }
  try {
    for (let upgrades = 1; upgrades <= UPGRADES; upgrades++) {
      if (isAborted && upgrades === 2) await hall.abortedUpgrade()
      const { json, lines } = await hall.supervisor.upgrade()
      t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, `upgrade ${upgrades}`, { lines })
    }
  } finally {
    isOver = true
  }
  const total = said.reduce((sum, each) => sum + each, 0)
  t.comment(`${total} broadcasts to ${guests.length} clients`)
  for (const [index, guest] of guests.entries()) {
    await until(
      () => guest.heard.length >= total,
      () =>
        `client ${index} to hear ${total}: it heard ${guest.heard.length}, ${guest.ends} ${hall.said(/^disconnect/)}`,
    )
    const next = guests.map(() => 1)
    const wrong = guest.heard.filter(([, speaker, number]) => {
      const expected = next[speaker as number] ?? 0
      next[speaker as number] = expected + 1
      return number !== expected
    })
    t.same(wrong.slice(0, 3), [], `client ${index} has heard each once, in order`)
    t.equal(guest.heard.length, total)
    t.same(guest.ends, [])
  }
  t.same(hall.said(/^disconnect .*transport/), [])
  t.equal((await hall.supervisor.stop()).exitCode, 0)
}

t.test(`${UPGRADES} upgrades in a row and an aborted one under a storm of broadcasts`, async (t) => {
  await storm(t, await Hall.start(t), true)
})

t.test('the same with a definition, where all are restored in the freeze', async (t) => {
  await storm(t, await Hall.start(t, { args: ['--own'] }), true)
})

t.test('the same where WebSockets are compressed, and some follow while all talk', async (t) => {
  const io = { perMessageDeflate: { threshold: 0 }, httpCompression: { threshold: 0 } }
  // Who is to refuse may be busy at the freeze, and not be asked: no aborted one here.
  await storm(t, await Hall.start(t, { args: ['--io', JSON.stringify(io)] }), false, {
    perMessageDeflate: { threshold: 0 },
  })
})
