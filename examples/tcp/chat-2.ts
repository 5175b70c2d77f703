/** The chat server, release 2: sessions know since when somebody is here, `/who` shows it, and `/me` is new. */
import type { Socket } from 'node:net'
import type { SessionDefinition, StateDefinition } from 'handover'
import { LINE_LIMIT, Rooms, takeLines } from './protocol.js'

export const RELEASE = 'chat-2'

/** Version 2 of a session: what is known of the user moved into `user`, and `since` is new. */
export interface Session {
  user: { nick: string; lines: number; since: Date }
  room: string
  partial: Buffer
}

/** Version 1, as release 1 writes and reads it. */
export interface SessionV1 {
  nick: string
  room: string
  said: number
  partial: Buffer
}

export const newSession = (): Session => ({
  user: { nick: 'guest', lines: 0, since: new Date() },
  room: 'lobby',
  partial: Buffer.alloc(0),
})

export const rooms = new Rooms<Session>()

export const roomsState: StateDefinition<Map<string, string[]>> = {
  version: 1,
  capture: () => rooms.capture(),
  restore: (histories) => rooms.restore(histories),
}

export const chatSessions: SessionDefinition<Session> = {
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
  // Restored while the predecessor still serves it: nothing here may tell anybody. A session changes only by what its own
  // client sends, which is noticed; whoever changed another's state would have to `touch` it.
  precopy: {
    update: (socket, session, state: Session) => {
      rooms.move(socket, session, state.room)
      Object.assign(session, state)
    },
    forget: (socket, session) => rooms.leave(socket, session),
    changes: 'touch',
  },
}

/** The same for a new connection and for one that came from another generation. */
function attach(socket: Socket, session: Session): Session {
  rooms.enter(socket, session)
  socket.on('data', (chunk: Buffer) => {
    const { lines, rest } = takeLines(session.partial, chunk)
    session.partial = rest
    if (rest.length > LINE_LIMIT) socket.destroy()
    for (const line of lines) handle(socket, session, line)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => rooms.leave(socket, session))
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
      rooms.move(socket, session, argument || 'lobby')
      socket.write(`* you are in ${session.room}\n`)
      break
    case '/who':
      socket.write(`* ${RELEASE}, in ${session.room}:\n`)
      for (const { user } of rooms.members(session.room))
        socket.write(`*   ${user.nick}, ${user.lines} lines, since ${user.since.toLocaleTimeString()}\n`)
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

/** A new connection. */
export function greet(socket: Socket): Session {
  socket.write(`* welcome to ${RELEASE}: /nick NAME, /join ROOM, /who, /me ACTS, /history, /quit\n`)
  return attach(socket, newSession())
}
