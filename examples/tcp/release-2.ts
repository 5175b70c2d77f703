/** Starts release 2 of the chat server, which is in chat-2.ts: a test can look at its sessions there without a server. */
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'handover'
import { chatSessions, greet, RELEASE, roomsState } from './chat-2.js'

const runtime = await join({ release: RELEASE })
runtime.state('rooms', roomsState)
const chat = runtime.sessions('chat', chatSessions)
const server = createServer((socket) => chat.open(socket, greet(socket)))
await runtime.listen(server, { name: 'chat', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`${RELEASE} serves 127.0.0.1:${(server.address() as AddressInfo).port} as process ${process.pid}`)
