/** What the table of docs/support.md is of: a small server for each library, and a client that can tell whether it was moved. */

export interface Subject {
  readonly adapter: string
  readonly library: string
  /** What npm installs for each row; none for what is Node's own. */
  readonly versions: readonly string[]
  /** Besides the library itself. */
  readonly packages?: readonly string[]
  readonly client: 'http' | 'sse' | 'ws' | 'socket.io' | 'socket.io polling' | 'udp'
  /** The server: an ES module. Its listener is named 'main'. */
  readonly program: string
}

const HEAD = `import { join } from 'handover'
const runtime = await join()
const who = () => JSON.stringify({ generation: runtime.generation, node: process.versions.node })
`
const LISTEN = `await runtime.listen(server, { name: 'main', port: 0, host: '127.0.0.1' })
await runtime.ready()
console.log('port ' + server.address().port)
`
const WS = `wss.on('connection', (socket) => socket.on('message', () => socket.send(who())))
ws(runtime, wss)
`
const POLLING_OR_NOT = `import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { http } from 'handover/http'
import { socketIo } from 'handover/socket.io'
${HEAD}const server = createServer()
http(runtime, server)
const io = new Server(server)
io.on('connection', (socket) => socket.on('who', () => socket.emit('me', who())))
socketIo(runtime, io)
${LISTEN}`

export const SUBJECTS: readonly Subject[] = [
  {
    adapter: 'http',
    library: 'node:http',
    versions: [],
    client: 'http',
    program: `import { createServer } from 'node:http'
import { http } from 'handover/http'
${HEAD}const server = createServer((request, response) => response.end(who()))
http(runtime, server)
${LISTEN}`,
  },
  {
    adapter: 'http',
    library: 'express',
    versions: ['4', '5'],
    client: 'http',
    program: `import { createServer } from 'node:http'
import express from 'express'
import { http } from 'handover/http'
${HEAD}const app = express()
app.get('/', (request, response) => response.send(who()))
const server = createServer(app)
http(runtime, server)
${LISTEN}`,
  },
  {
    adapter: 'http',
    library: 'koa',
    versions: ['2', '3'],
    client: 'http',
    program: `import { createServer } from 'node:http'
import Koa from 'koa'
import { http } from 'handover/http'
${HEAD}const app = new Koa()
app.use((context) => void (context.body = who()))
const server = createServer(app.callback())
http(runtime, server)
${LISTEN}`,
  },
  {
    adapter: 'http',
    library: 'fastify',
    versions: ['4', '5'],
    client: 'http',
    program: `import Fastify from 'fastify'
import { http } from 'handover/http'
${HEAD}const app = Fastify()
app.get('/', async () => who())
await app.ready()
const { server } = app
http(runtime, server)
${LISTEN}`,
  },
  {
    adapter: 'sse',
    library: 'node:http',
    versions: [],
    client: 'sse',
    program: `import { createServer } from 'node:http'
import { sse } from 'handover/sse'
${HEAD}const events = sse(runtime)
const server = createServer((request, response) => events.open(request, response, null))
setInterval(() => {
  if (!runtime.retired.aborted) for (const stream of events) stream.send({ data: who() })
}, 20)
${LISTEN}`,
  },
  {
    adapter: 'ws',
    library: 'ws',
    versions: ['7.5', '8.0', '8.8', '8.13', '8.17', '8'],
    client: 'ws',
    program: `import { createServer } from 'node:http'
import * as library from 'ws'
import { ws } from 'handover/ws'
${HEAD}const server = createServer()
const WebSocketServer = library.WebSocketServer ?? library.default.Server
const wss = new WebSocketServer({ server })
${WS}${LISTEN}`,
  },
  {
    adapter: 'ws',
    library: '@fastify/websocket',
    versions: ['11'],
    packages: ['fastify@5'],
    client: 'ws',
    program: `import Fastify from 'fastify'
import websocket from '@fastify/websocket'
import { ws } from 'handover/ws'
${HEAD}const app = Fastify()
await app.register(websocket)
app.get('/', { websocket: true }, () => undefined)
await app.ready()
const { server, websocketServer: wss } = app
${WS}${LISTEN}`,
  },
  {
    adapter: 'ws',
    library: 'express-ws',
    versions: ['5'],
    packages: ['express@4'],
    client: 'ws',
    program: `import { createServer } from 'node:http'
import express from 'express'
import expressWs from 'express-ws'
import { ws } from 'handover/ws'
${HEAD}const app = express()
const server = createServer(app)
const { getWss } = expressWs(app, server)
app.ws('/', () => undefined)
const wss = getWss()
${WS}${LISTEN}`,
  },
  {
    adapter: 'socket.io',
    library: 'socket.io',
    versions: ['4.8.0', '4'],
    client: 'socket.io',
    program: POLLING_OR_NOT,
  },
  {
    adapter: 'socket.io (polling)',
    library: 'socket.io',
    versions: ['4'],
    client: 'socket.io polling',
    program: POLLING_OR_NOT,
  },
  {
    adapter: 'dgram',
    library: 'node:dgram',
    versions: [],
    client: 'udp',
    program: `import { createSocket } from 'node:dgram'
import { dgram } from 'handover/dgram'
${HEAD}const server = createSocket('udp4')
server.on('message', (message, { port, address }) => server.send(who(), port, address))
await dgram(runtime, server, { name: 'main', port: 0, host: '127.0.0.1' })
await runtime.ready()
console.log('port ' + server.address().port)
`,
  },
]
