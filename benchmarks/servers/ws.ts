/** A WebSocket server that sends back what it gets. `ws.js CONNECTIONS MODE` */
import { createServer } from 'node:http'
import { ws } from 'handover/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { serve } from './server.js'

const server = createServer({ noDelay: true })
const wss = new WebSocketServer({ server })
wss.on('connection', (webSocket: WebSocket) => {
  webSocket.on('message', (data, binary) => webSocket.send(data, { binary }))
})
await serve(server, (runtime) => ws(runtime, wss))
