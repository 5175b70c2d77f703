/** The game goes on: the board, the players and their connections, through upgrades to another release. */
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { compiled } from '../harness/child.js'
import { READY, startSupervisor } from '../harness/supervisor.js'
import { scaled, until, within } from '../harness/timeout.js'

t.setTimeout(scaled(60_000))

interface Seen {
  readonly cells: (string | null)[]
  readonly players: { name: string; colour: string; x: number; y: number; score: number }[]
}

async function play(t: Test, port: number, name: string, transports: string[]) {
  const socket: Socket = io(`http://127.0.0.1:${port}`, { transports, forceNew: true, reconnection: false })
  t.teardown(() => socket.disconnect())
  const served: string[] = []
  let seen: Seen | undefined
  socket.on('served', ({ release }: { release: string }) => void served.push(release))
  socket.on('board', (board: Seen) => (seen = board))
  const say = (event: string, word: string) =>
    within(
      new Promise<Seen['players'][0]>((resolve) => void socket.emit(event, word, resolve)),
      `an answer to ${event} of ${name}`,
    )
  await say('join', name)
  return { socket, served, step: (direction: string) => say('step', direction), seen: () => seen as Seen }
}

t.test('walk, upgrade, walk', async (t) => {
  const supervisor = startSupervisor(t, {
    command: ['node', compiled('examples/game/server.js')],
    env: { GAME_RELEASE: '1' },
  })
  const port = Number((await supervisor.child.line(READY))[4])
  const page = await (await fetch(`http://127.0.0.1:${port}/`)).text()
  t.match(page, /Paint the board/)
  const ada = await play(t, port, 'ada', ['websocket'])
  const bob = await play(t, port, 'bob', ['polling'])
  let { x } = await ada.step('right')
  for (let upgrades = 1; upgrades <= 2; upgrades++) {
    const { json, lines } = await supervisor.upgrade()
    t.match(json, { outcome: 'committed', sessions: { dropped: 0 } }, 'committed', { lines })
    const after = await ada.step('right')
    x += 1
    t.equal(after.x, x, 'she is where she was, and one step further')
    await bob.step('up')
    await until(() => ada.served.length === upgrades + 1, 'word of the new process')
  }
  await until(() => ada.seen().players.find(({ name }) => name === 'bob')?.score === 3, 'all that bob has painted')
  t.match(ada.seen().players, [
    { name: 'ada', score: 4 },
    { name: 'bob', score: 3 },
  ])
  t.equal(ada.seen().cells.filter((cell) => cell !== null).length, 7, 'the board is what it was, and more')
  t.equal(ada.socket.connected && bob.socket.connected, true)
  t.equal((await supervisor.stop()).exitCode, 0)
})
