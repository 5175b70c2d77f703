/** The example follows what changes while it is copied, and tells nobody: what it wrote then would reach the clients. */
import { Socket } from 'node:net'
import t from 'tap'
import * as one from '../../examples/tcp/chat-1.js'
import * as two from '../../examples/tcp/chat-2.js'

/** Keeps what it is told. */
class Client extends Socket {
  readonly told: unknown[] = []

  override write(chunk: unknown): boolean {
    this.told.push(chunk)
    return true
  }
}

for (const [name, { chatSessions, newSession, rooms, roomsState }] of Object.entries({ one, two })) {
  t.test(`release ${name}: update and forget`, async (t) => {
    const definition = chatSessions as typeof one.chatSessions
    const { update, forget } = definition.precopy!
    const state = (room: string): one.Session => ({ ...(newSession() as one.Session), room })
    const [ada, grace, eve] = [new Client(), new Client(), new Client()]
    const session = definition.restore(ada, state('lobby'))
    definition.restore(grace, state('lobby'))
    const left = definition.restore(eve, state('hall'))
    update(ada, session, { ...state('hall'), partial: Buffer.from('half') })
    forget(eve, left)
    t.same(
      [ada, grace, eve].flatMap(({ told }) => told),
      [],
      'nobody was told anything',
    )
    t.same(session.partial, Buffer.from('half'))
    t.same([...rooms.members('hall')], [session], 'who moved is there, who left is not')
    t.equal([...rooms.members('lobby')].length, 1)
    ada.emit('data', Buffer.from(' a line\n'))
    t.match(ada.told, [/^ok 1\n$/], 'the session that was updated is the one that is served')
    t.same(grace.told, [])
    t.match(rooms.history('hall'), [/half a line$/])
  })

  t.test(`release ${name}: shared state that comes a second time replaces the first`, async (t) => {
    roomsState.restore(new Map([['gone', ['x']]]))
    roomsState.restore(new Map([['lobby', ['y']]]))
    t.same([rooms.history('gone'), rooms.history('lobby')], [[], ['y']])
  })
}
