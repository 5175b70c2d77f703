/** A chat server, release 1: rooms, nicknames, history; a line is a message, a line with a slash a command. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'handover'
import { LINE_LIMIT, Rooms, takeLines } from './protocol.js'

const RELEASE = 'chat-1'

/** Version 1 of a session. It is plain data, so it can be captured as it is. */
interface Session {
  nick: string
  room: string
  said: number
  partial: Buffer
}

const rooms = new Rooms()
const runtime = await join({ release: RELEASE })

runtime.state('rooms', {
  version: 1,
  capture: () => rooms.capture(),
  restore: (histories) => rooms.restore(histories),
})

const chat = runtime.sessions<Session>('chat', {
  version: 1,
  capture: (_socket, session) => session,
  restore: (socket, session: Session) => attach(socket, session),
})

/** The same for a new connection and for one that came from another generation. */
function attach(socket: Socket, session: Session): Session {
  rooms.enter(session.room, socket)
  socket.on('data', (chunk: Buffer) => {
    const { lines, rest } = takeLines(session.partial, chunk)
    session.partial = rest
    if (rest.length > LINE_LIMIT) socket.destroy()
    for (const line of lines) handle(socket, session, line)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => rooms.leave(session.room, socket))
  return session
}

function handle(socket: Socket, session: Session, line: string): void {
  const [command, argument = ''] = line.split(' ', 2)
  switch (command) {
    case '/nick':
      session.nick = argument || session.nick
      socket.write(`* you are ${session.nick}\n`)
      break
    case '/join':
      rooms.leave(session.room, socket)
      session.room = argument || 'lobby'
      rooms.enter(session.room, socket)
      socket.write(`* you are in ${session.room}\n`)
      break
    case '/who': {
      const nicks = Array.from(rooms.members(session.room), (member) => chat.get(member)?.nick)
      socket.write(`* ${RELEASE}, in ${session.room}: ${nicks.join(', ')}\n`)
      break
    }
    case '/history':
      for (const text of rooms.history(session.room)) socket.write(`${text}\n`)
      break
    case '/quit':
      socket.end('* bye\n')
      break
    default:
      session.said += 1
      rooms.say(session.room, socket, `<${session.nick}> ${line}`)
      socket.write(`ok ${session.said}\n`)
  }
}

const server = createServer((socket) => {
  socket.write(`* welcome to ${RELEASE}: /nick NAME, /join ROOM, /who, /history, /quit\n`)
  chat.open(socket, attach(socket, { nick: 'guest', room: 'lobby', said: 0, partial: Buffer.alloc(0) }))
})

await runtime.listen(server, { name: 'chat', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`${RELEASE} serves 127.0.0.1:${(server.address() as AddressInfo).port} as process ${process.pid}`)
