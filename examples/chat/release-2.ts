/** The chat, release 2: messages can be liked, and it is known since when somebody is here. Both ways of each step are told. */
import type { PersonV1 } from './release-1.js'
import type { RoomState } from './room.js'
import { serve } from './server.js'

interface Person {
  name: string
  since: number
}

await serve<Person>({
  name: 'chat 2.0',
  features: ['likes'],
  newMessage: () => ({ likes: 0 }),
  newPerson: () => ({ name: 'guest', since: Date.now() }),
  people: {
    version: 2,
    upgrade: { 1: ({ name }: PersonV1): Person => ({ name, since: Date.now() }) },
    downgrade: { 2: ({ name }: Person): PersonV1 => ({ name }) },
  },
  room: {
    version: 2,
    upgrade: {
      1: ({ nextId, messages }: RoomState): RoomState => ({
        nextId,
        messages: messages.map((message) => ({ ...message, likes: 0 })),
      }),
    },
    // Release 1 knows no likes: they are lost on the way back.
    downgrade: {
      2: ({ nextId, messages }: RoomState): RoomState => ({
        nextId,
        messages: messages.map(({ id, from, text, at }) => ({ id, from, text, at })),
      }),
    },
  },
})
