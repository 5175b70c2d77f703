/** A chat over WebSocket with a page: everything but what the two releases do differently. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, type Migration } from 'handover'
import { http } from 'handover/http'
import { ws } from 'handover/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { orderOf } from './orders.js'
import { servePage } from './page.js'
import { type Message, Room, type RoomState } from './room.js'

interface Versioned {
  readonly version: number
  readonly upgrade?: Readonly<Record<number, Migration>>
  readonly downgrade?: Readonly<Record<number, Migration>>
}

export interface Release<Person extends { name: string }> {
  readonly name: string
  /** What the page may offer. */
  readonly features: readonly string[]
  /** What is kept of a message beside its text. */
  readonly newMessage: () => { likes?: number }
  readonly newPerson: () => Person
  /** Versions of what moves. */
  readonly people: Versioned
  readonly room: Versioned
}

export async function serve<Person extends { name: string }>(release: Release<Person>): Promise<void> {
  const runtime = await join({ release: release.name })
  const room = new Room()
  const people = new Map<WebSocket, Person>()
  const server = createServer(servePage)
  const sockets = new WebSocketServer({ server, maxPayload: 4096 })

  runtime.state<RoomState>('room', {
    ...release.room,
    capture: () => room.capture(),
    restore: (state) => room.restore(state),
  })
  http(runtime, server)
  ws<Person>(runtime, sockets, {
    ...release.people,
    capture: (socket) => people.get(socket) as Person,
    restore: (socket, person) => attach(socket, person),
    // It is live here: its page may know.
    onAdopted: (socket) => tell(socket, serving()),
  })

  const tell = (socket: WebSocket, message: object): void => socket.send(JSON.stringify(message))
  const tellAll = (message: object): void => {
    const text = JSON.stringify(message)
    for (const socket of people.keys()) socket.send(text)
  }
  const names = () => ({ type: 'people', names: [...people.values()].map(({ name }) => name) })
  const serving = () => ({
    type: 'serving',
    release: release.name,
    features: release.features,
    process: process.pid,
    node: process.versions.node,
    generation: runtime.generation,
    // Whoever has started this may let the page upgrade it.
    control: process.env['CHAT_CONTROL'] ?? null,
  })

  /** The same for a new page and for one that came from another generation. */
  function attach(socket: WebSocket, person: Person): void {
    people.set(socket, person)
    socket.on('message', (data) => obey(socket, person, data))
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      people.delete(socket)
      tellAll(names())
    })
  }

  function obey(socket: WebSocket, person: Person, data: unknown): void {
    const order = orderOf(data)
    switch (order?.type) {
      case 'name':
        person.name = order.name
        tellAll(names())
        break
      case 'say':
        tellAll({ type: 'message', message: room.say(person.name, order.text, release.newMessage()) })
        break
      case 'like': {
        const message: Message | undefined = release.features.includes('likes') ? room.like(order.id) : undefined
        if (message !== undefined) tellAll({ type: 'message', message })
        break
      }
      case 'ping':
        tell(socket, { type: 'pong', n: order.n, generation: runtime.generation })
    }
  }

  sockets.on('connection', (socket) => {
    attach(socket, release.newPerson())
    tell(socket, serving())
    tell(socket, { type: 'history', messages: room.messages })
    tellAll(names())
  })

  await runtime.listen(server, { name: 'chat', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
  await runtime.ready()
  console.log(`${release.name} serves 127.0.0.1:${(server.address() as AddressInfo).port} as process ${process.pid}`)
}
