/** Socket.IO clients by every way, with each pair of neighbouring lines of Node and with the furthest apart, in both directions. */
import t from 'tap'
import { NO_NODE, NODE_MAJORS, nodeBinary } from '../harness/node-versions.js'
import { type Guest, Hall, WAYS } from '../harness/socket.io.js'
import { scaled } from '../harness/timeout.js'

t.setTimeout(scaled(110_000))

const OLDEST = NODE_MAJORS[0] as number
const NEWEST = NODE_MAJORS.at(-1) as number
const STEPS = [...NODE_MAJORS, OLDEST, NEWEST, ...NODE_MAJORS.toReversed().slice(1)]

const binaries = await Promise.all(NODE_MAJORS.map(nodeBinary))
const skip = binaries.includes(undefined) && NO_NODE

t.test(`from Node to Node: ${STEPS.join(', ')}`, { skip }, async (t) => {
  const hall = await Hall.start(t, { options: ['--node', (await nodeBinary(OLDEST)) as string] })
  const guests: Guest[] = []
  for (const way of WAYS) {
    const guest = await hall.enter(way)
    await guest.ask('join', 'hall')
    guests.push(guest)
  }
  for (const [index, major] of STEPS.slice(1).entries()) {
    const { json, lines } = await hall.supervisor.upgrade('--node', (await nodeBinary(major)) as string)
    t.match(
      json,
      { outcome: 'committed', to: { node: new RegExp(`^${major}\\.`) }, sessions: { dropped: 0 } },
      `to ${major}`,
      {
        lines,
      },
    )
    for (const guest of guests) {
      t.equal((await guest.ask<[number]>('count'))[0], index + 1)
      const [echo] = await guest.ask<[Buffer]>('echo', Buffer.from([major]))
      t.same([...echo], [major])
    }
    guests[index % guests.length]?.socket.emit('say', 'hall', index)
    for (const guest of guests) t.same((await guest.hears('said', index + 1)).at(-1), ['said', index])
  }
  for (const { ends } of guests) t.same(ends, [])
  t.equal((await hall.supervisor.stop()).exitCode, 0)
})
