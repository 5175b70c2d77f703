/**
 * A Socket.IO game. Players keep their socket, their place and their colour through an upgrade, and the round its time.
 *
 *   npx handover run -- node dist/examples/game/server.js
 *   open http://127.0.0.1:4000 in two windows, and use the arrow keys
 *   npx handover upgrade
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Deadline, join } from 'handover'
import { socketIo } from 'handover/socket.io'
import { Server } from 'socket.io'
import {
  type GameState,
  HEIGHT,
  newGame,
  newPlayer,
  nextRound,
  type Player,
  ROUND_MS,
  scoreOf,
  step,
  WIDTH,
} from './game.js'

const FILES: Record<string, readonly [file: string, type: string]> = {
  '/': ['index.html', 'text/html'],
  '/style.css': ['style.css', 'text/css'],
  '/page.js': ['page.js', 'text/javascript'],
}
/** The compiler does not copy them. */
const folder = new URL('../../../examples/game/public/', import.meta.url)

const runtime = await join()
const server = createServer((request, response) => {
  const [file, type] = FILES[request.url ?? ''] ?? []
  if (file === undefined) response.writeHead(404).end()
  else response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(readFileSync(new URL(file, folder)))
})
const io = new Server<
  { step: (direction: string) => void; name: (name: string) => void },
  Record<string, (...words: unknown[]) => void>,
  object,
  Player
>(server)

let game = newGame()
/** When the round is over: a time that moves with the game. */
const roundEnds = new Deadline(() => {
  nextRound(game, players())
  roundEnds.in(ROUND_MS)
  show()
})
let endsAtMs: number | null = null

runtime.state<{ game: GameState; endsAtMs: number | null }>('game', {
  version: 1,
  capture: () => ({ game, endsAtMs: roundEnds.dueAtMs }),
  restore: (state) => ({ game, endsAtMs } = state),
})
// `socket.data` is the player, and moves.
socketIo<Player>(runtime, io)
runtime.hooks({
  onMoved: () => roundEnds.clear(),
  onAdopted: () => {
    if (endsAtMs === null) roundEnds.in(ROUND_MS)
    else roundEnds.at(endsAtMs)
    show()
  },
})

const players = (): Player[] => [...io.of('/').sockets.values()].map(({ data }) => data)

function show(): void {
  io.emit('game', {
    width: WIDTH,
    height: HEIGHT,
    ...game,
    leftMs: roundEnds.leftMs,
    players: players().map((player) => ({ ...player, score: scoreOf(game, player) })),
    process: process.pid,
    generation: runtime.generation,
  })
}

io.on('connection', (socket) => {
  // One that has moved has its player.
  if (!socket.recovered) socket.data = newPlayer(game, socket.id)
  socket.on('step', (direction) => step(game, socket.data, direction) && show())
  socket.on('name', (name) => {
    if (typeof name === 'string' && name.trim() !== '') socket.data.name = name.trim().slice(0, 24)
    show()
  })
  socket.on('disconnect', show)
  if (!socket.recovered) show()
})

await runtime.listen(server, { name: 'game', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`serves 127.0.0.1:${(server.address() as AddressInfo).port} as process ${process.pid}`)
