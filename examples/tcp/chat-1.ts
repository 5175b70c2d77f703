/** A chat server, release 1: rooms, nicknames, history; a line is a message, a line with a slash a command. */
import type { Socket } from 'node:net'
import type { SessionDefinition, StateDefinition } from 'handover'
import { LINE_LIMIT, Rooms, takeLines } from './protocol.js'

export const RELEASE = 'chat-1'

/** Version 1 of a session. It is plain data, so it can be captured as it is. */
export interface Session {
  nick: string
  room: string
  said: number
  partial: Buffer
}

export const newSession = (): Session => ({ nick: 'guest', room: 'lobby', said: 0, partial: Buffer.alloc(0) })

export const rooms = new Rooms<Session>()

export const roomsState: StateDefinition<Map<string, string[]>> = {
  version: 1,
  capture: () => rooms.capture(),
  restore: (histories) => rooms.restore(histories),
}

export const chatSessions: SessionDefinition<Session> = {
  version: 1,
  capture: (_socket, session) => session,
  restore: (socket, session: Session) => attach(socket, session),
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
  const [command, argument = ''] = line.split(' ', 2)
  switch (command) {
    case '/nick':
      session.nick = argument || session.nick
      socket.write(`* you are ${session.nick}\n`)
      break
    case '/join':
      rooms.move(socket, session, argument || 'lobby')
      socket.write(`* you are in ${session.room}\n`)
      break
    case '/who': {
      const nicks = Array.from(rooms.members(session.room), ({ nick }) => nick)
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

/** A new connection. */
export function greet(socket: Socket): Session {
  socket.write(`* welcome to ${RELEASE}: /nick NAME, /join ROOM, /who, /history, /quit\n`)
  return attach(socket, newSession())
}
