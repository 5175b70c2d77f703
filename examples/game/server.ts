/**
 * A game over Socket.IO that nobody has to leave for an upgrade: the board is shared state, and what a player is lies in
 * `socket.data`, which moves by itself.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'handover'
import { socketIo } from 'handover/socket.io'
import { Server, type Socket } from 'socket.io'
import { Board, HEIGHT, type Player, WIDTH } from './board.js'

const release = process.env['GAME_RELEASE'] ?? '1'
const page = readFileSync(new URL('../../../examples/game/page.html', import.meta.url))

const runtime = await join({ release })
const http = createServer((_request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(page)
})
const io = new Server(http)
const board = new Board()

const playerOf = (socket: Socket): Player | undefined => socket.data.player
const players = (): Player[] => [...io.sockets.sockets.values()].flatMap((socket) => playerOf(socket) ?? [])
const tellAll = (): void => {
  const scored = players().map((player) => ({ ...player, score: board.score(player.colour) }))
  io.emit('board', { cells: board.cells, players: scored.sort((a, b) => b.score - a.score) })
}

io.on('connection', (socket) => {
  // For a player who was here before the upgrade `socket.recovered` is true, and the data is there.
  socket.emit('served', { release, generation: runtime.generation, pid: process.pid, width: WIDTH, height: HEIGHT })
  socket.on('join', (name, done) => {
    socket.data.player ??= board.join(String(name))
    tellAll()
    done?.(playerOf(socket))
  })
  socket.on('step', (direction, done) => {
    const player = playerOf(socket)
    if (player !== undefined && board.step(player, direction)) tellAll()
    done?.(player)
  })
  socket.on('disconnect', tellAll)
})

runtime.state('board', {
  version: 1,
  capture: () => ({ cells: board.cells, joined: board.joined }),
  restore: (state: Pick<Board, 'cells' | 'joined'>) => Object.assign(board, state),
})
socketIo(runtime, io)
await runtime.listen(http, { name: 'game', port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' })
await runtime.ready()
const { port } = http.address() as AddressInfo
console.log(`ready release=${release} generation=${runtime.generation} pid=${process.pid} port=${port}`)
