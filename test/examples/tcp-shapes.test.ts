/** The example's sessions against what is recorded beside it: written as the test of the example's own author would be. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { checkShapes } from 'handover/testing'
import t from 'tap'
import * as one from '../../examples/tcp/chat-1.js'
import * as two from '../../examples/tcp/chat-2.js'

const recorded = new URL('../../../examples/tcp/', import.meta.url)

const sessionsOf1 = [one.newSession(), { ...one.newSession(), partial: Buffer.from('half a li') }]
const sessionsOf2 = [two.newSession(), { ...two.newSession(), partial: Buffer.from('half a li') }]
const talk = (rooms: { say(room: string, from: Socket, text: string): void }) => () =>
  rooms.say('lobby', new Socket(), '<ada> hello')

const release1 = (file: URL) =>
  checkShapes({
    file,
    sessions: { chat: { definition: one.chatSessions, samples: sessionsOf1 } },
    states: { rooms: { definition: one.roomsState, samples: [talk(one.rooms)] } },
  })
const release2 = (file: URL) =>
  checkShapes({
    file,
    sessions: { chat: { definition: two.chatSessions, samples: sessionsOf2 } },
    states: { rooms: { definition: two.roomsState, samples: [talk(two.rooms)] } },
  })

t.test('release 1 captures what it always did', async () => void (await release1(new URL('shapes.json', recorded))))

t.test('release 2 reads what release 1 wrote, and writes what release 1 reads', async () => {
  await release2(new URL('shapes.json', recorded))
})

/** A copy, so that nothing that is tried here is recorded. */
function copy(): URL {
  const folder = mkdtempSync(join(tmpdir(), 'handover-chat-shapes-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['shapes.json', 'corpus'])
    cpSync(fileURLToPath(new URL(name, recorded)), join(folder, name), { recursive: true })
  return pathToFileURL(join(folder, 'shapes.json'))
}

t.test('a field that is added and forgotten fails this test, recording or not', async (t) => {
  const file = copy()
  const samples = sessionsOf2.map((session) => ({ ...session, muted: false }))
  const definition = two.chatSessions
  for (const record of [false, true])
    await t.rejects(
      checkShapes({
        file,
        record,
        sessions: { chat: { definition, samples } },
        states: { rooms: { definition: two.roomsState } },
      }),
      { code: 'HANDOVER_SHAPE_CHANGED', message: /session kind "chat", version 2: state\.muted appeared \(boolean\)/ },
    )
})

t.test('with a version and steps of its own it is recorded, and goes both ways', async (t) => {
  const file = copy()
  const samples = sessionsOf2.map((session) => ({ ...session, muted: false }))
  const definition = {
    ...two.chatSessions,
    version: 3,
    upgrade: { ...two.chatSessions.upgrade, 2: (v2: two.Session) => ({ ...v2, muted: false }) },
    downgrade: {
      ...two.chatSessions.downgrade,
      3: ({ user, room, partial }: two.Session): two.Session => ({ user, room, partial }),
    },
  }
  const run = (record: boolean) =>
    checkShapes({
      file,
      record,
      sessions: { chat: { definition, samples } },
      states: { rooms: { definition: two.roomsState } },
    })
  t.same((await run(true)).recorded, ['session kind "chat", version 3'])
  t.same((await run(false)).recorded, [])
})
