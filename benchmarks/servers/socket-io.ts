/** A Socket.IO server that acknowledges each event with what it carries. `socket-io.js CONNECTIONS MODE` */
import { createServer } from 'node:http'
import { socketIo } from 'handover/socket.io'
import { Server } from 'socket.io'
import { KEEP_ALIVE_MS, serve } from './server.js'

const server = createServer({ noDelay: true })
// No question but those of the clients.
const io = new Server(server, { pingInterval: KEEP_ALIVE_MS, pingTimeout: KEEP_ALIVE_MS })
io.on('connection', (socket) => {
  socket.on('say', (text: string, done: (text: string) => void) => done(text))
})
await serve(server, (runtime) => socketIo(runtime, io))
