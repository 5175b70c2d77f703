/** The chat, release 1: names, messages, a history. */
import { serve } from './server.js'

export interface PersonV1 {
  name: string
}

await serve<PersonV1>({
  name: 'chat 1.0',
  features: [],
  newMessage: () => ({}),
  newPerson: () => ({ name: 'guest' }),
  people: { version: 1 },
  room: { version: 1 },
})
