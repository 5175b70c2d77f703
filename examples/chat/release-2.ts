/** The chat server, release 2: sessions know since when somebody is here, `/who` shows it, and `/me` is new. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'handover'
import { LINE_LIMIT, Rooms, takeLines } from './protocol.js'

const RELEASE = 'chat-2'

/** Version 2 of a session: what is known of the user moved into `user`, and `since` is new. */
interface Session {
  user: { nick: string; lines: number; since: Date }
  room: string
  partial: Buffer
}

/** Version 1, as release 1 writes and reads it. */
interface SessionV1 {
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
  version: 2,
  capture: (_socket, session) => session,
  restore: (socket, session: Session) => attach(socket, session),
  upgrade: {
    1: ({ nick, said, room, partial }: SessionV1): Session => ({
      user: { nick, lines: said, since: new Date() },
      room,
      partial,
    }),
  },
  // A rollback is an upgrade too: what release 1 does not know is left behind.
  downgrade: {
    2: ({ user, room, partial }: Session): SessionV1 => ({ nick: user.nick, said: user.lines, room, partial }),
  },
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
  const { user } = session
  const [command, argument = ''] = line.split(' ', 2)
  switch (command) {
    case '/nick':
      user.nick = argument || user.nick
      socket.write(`* you are ${user.nick}\n`)
      break
    case '/join':
      rooms.leave(session.room, socket)
      session.room = argument || 'lobby'
      rooms.enter(session.room, socket)
      socket.write(`* you are in ${session.room}\n`)
      break
    case '/who':
      socket.write(`* ${RELEASE}, in ${session.room}:\n`)
      for (const member of rooms.members(session.room)) {
        const other = chat.get(member)?.user
        if (other) socket.write(`*   ${other.nick}, ${other.lines} lines, since ${other.since.toLocaleTimeString()}\n`)
      }
      break
    case '/history':
      for (const text of rooms.history(session.room)) socket.write(`${text}\n`)
      break
    case '/me':
      rooms.say(session.room, socket, `* ${user.nick}${line.slice(command.length)}`)
      break
    case '/quit':
      socket.end('* bye\n')
      break
    default:
      user.lines += 1
      rooms.say(session.room, socket, `<${user.nick}> ${line}`)
      socket.write(`ok ${user.lines}\n`)
  }
}

const server = createServer((socket) => {
  socket.write(`* welcome to ${RELEASE}: /nick NAME, /join ROOM, /who, /me ACTS, /history, /quit\n`)
  const user = { nick: 'guest', lines: 0, since: new Date() }
  chat.open(socket, attach(socket, { user, room: 'lobby', partial: Buffer.alloc(0) }))
})

await runtime.listen(server, { name: 'chat', port: Number(process.env['PORT'] ?? 4000), host: '127.0.0.1' })
await runtime.ready()
console.log(`${RELEASE} serves 127.0.0.1:${(server.address() as AddressInfo).port} as process ${process.pid}`)
