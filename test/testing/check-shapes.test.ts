/** `checkShapes` as a user's test calls it, over the life of a program: recorded, changed, stepped, spoilt. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import type { SessionDefinition } from '../../src/runtime/types.js'
import { checkShapes, type HandoverError, type SessionSamples } from '../../src/testing/index.js'

interface Player {
  name: string
  room: string | null
  seen?: Map<string, Date>
}
const players: Player[] = [
  { name: 'ada', room: null },
  { name: 'grace', room: 'hall', seen: new Map([['ada', new Date()]]) },
]

const kind = <S>(version: number, more: Partial<SessionDefinition<S>> = {}): SessionDefinition<S> => ({
  version,
  capture: (_socket, session) => session,
  restore: (_socket, state) => state as S,
  ...more,
})
const first: SessionSamples<Player> = { definition: kind(1), samples: players }

/** Version 2: `room` is called `place`. */
const second: SessionSamples<{ name: string; place: string | null; seen?: Map<string, Date> }> = {
  definition: kind(2, {
    upgrade: { 1: ({ room, ...rest }: Player) => ({ ...rest, place: room }) },
    downgrade: { 2: ({ place, ...rest }) => ({ ...rest, room: place }) },
  }),
  samples: players.map(({ room, ...rest }) => ({ ...rest, place: room })),
}

function folder(t: Test): { folder: string; file: URL; text: () => string } {
  const folder = mkdtempSync(join(tmpdir(), 'handover-shapes-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'shapes.json')
  return { folder, file: pathToFileURL(path), text: () => readFileSync(path, 'utf8') }
}

type Samples = Record<string, unknown>
const check = (file: URL, player: object, record = false) =>
  checkShapes<Samples>({ file, record, sessions: { player: player as SessionSamples<unknown> } })

const fails = (t: Test, run: Promise<unknown>, code: string, ...words: (string | RegExp)[]) =>
  run.then(
    () => t.fail(`it should have been refused: ${code}`),
    (error: HandoverError) => {
      t.equal(error.code, code, error.message)
      for (const word of words) t.match(error.message, word)
    },
  )

t.test('what is not recorded fails, is recorded when asked, and then holds', async (t) => {
  const { folder: at, file, text } = folder(t)
  await fails(
    t,
    check(file, first),
    'HANDOVER_SHAPE_UNKNOWN',
    'session kind "player", version 1',
    'HANDOVER_RECORD_SHAPES=1',
  )
  t.same(readdirSync(at), [], 'nothing was written')
  t.same(await check(file, first, true), { recorded: ['session kind "player", version 1'] })
  const written = JSON.parse(text())
  t.match(written.sessions.player[1].samples, /^[\da-f]{8} [\da-f]{8}$/)
  t.strictSame(written.sessions.player[1].shape, {
    object: { name: 'string', room: 'null | string' },
    optional: { seen: { Map: { key: 'string', value: 'Date' } } },
  })
  t.equal(readdirSync(join(at, 'corpus')).length, 2)
  const before = text()
  t.same(await check(file, first), { recorded: [] })
  t.same(await check(file, first, true), { recorded: [] }, 'and recorded once only')
  t.equal(text(), before)
})

t.test('the environment asks for recording, one value only', async (t) => {
  const { file } = folder(t)
  const ask = (value: string) => {
    process.env['HANDOVER_RECORD_SHAPES'] = value
    return checkShapes({ file, sessions: { player: first } })
  }
  t.teardown(() => delete process.env['HANDOVER_RECORD_SHAPES'])
  await fails(t, ask('0'), 'HANDOVER_SHAPE_UNKNOWN')
  t.equal((await ask('1')).recorded.length, 1)
})

const CHANGES: Record<string, [(player: Player) => unknown, string]> = {
  'a field appears': [(player) => ({ ...player, age: 3 }), 'version 1: state.age appeared (number)'],
  'a field appears in some': [
    (player) => (player.room ? { ...player, age: 3 } : player),
    'state.age appeared (number)',
  ],
  'a field disappears': [
    ({ name, seen }) => ({ name, ...(seen && { seen }) }),
    'state.room disappeared (was null | string)',
  ],
  'an optional field disappears': [({ name, room }) => ({ name, room }), 'state.seen disappeared (was Map)'],
  'a field changes its type': [
    (player) => ({ ...player, name: Buffer.from(player.name) }),
    'state.name is Buffer, recorded is string',
  ],
  'a type is shown no more': [
    (player) => ({ ...player, room: 'hall' }),
    'state.room is string, recorded is null | string',
  ],
  'inside a Map': [
    (player) => ({ ...player, ...(player.seen && { seen: new Map([['a', 1]]) }) }),
    'state.seen{} is number, recorded is Date',
  ],
}
for (const [name, [change, words]] of Object.entries(CHANGES)) {
  t.test(`${name} without a decision: refused, also when recording`, async (t) => {
    const { file, text } = folder(t)
    await check(file, first, true)
    const before = text()
    const changed = { definition: kind(1), samples: players.map(change) }
    await fails(
      t,
      check(file, changed),
      'HANDOVER_SHAPE_CHANGED',
      'session kind "player"',
      words,
      'Count the version up',
    )
    await fails(t, check(file, changed, true), 'HANDOVER_SHAPE_CHANGED', words)
    t.equal(text(), before, 'what is recorded is never written over')
  })
}

t.test('`capture` itself is asked, with the socket', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  const capture = (socket: unknown, player: Player) => ({ ...player, isSocket: typeof socket })
  await fails(
    t,
    check(file, { ...first, definition: kind(1, { capture }) }),
    'HANDOVER_SHAPE_CHANGED',
    'state.isSocket',
  )
})

t.test('a new version with its steps: recorded, and the old stays as it was', async (t) => {
  const { file, text } = folder(t)
  await check(file, first, true)
  const before = JSON.parse(text()).sessions.player[1]
  await fails(t, check(file, second), 'HANDOVER_SHAPE_UNKNOWN', 'version 2 has no recorded shape')
  t.same((await check(file, second, true)).recorded, ['session kind "player", version 2'])
  t.strictSame(JSON.parse(text()).sessions.player[1], before)
  t.same(await check(file, second), { recorded: [] })
  t.same(await check(file, first), { recorded: [] }, 'the older release still holds against the same file')
})

const steps = second.definition
const BAD_STEPS: Record<string, [Partial<SessionDefinition<unknown>>, string | RegExp]> = {
  'no upgrade step': [{ upgrade: {} }, 'upgrade step 1 is missing'],
  'no downgrade step': [{ downgrade: {} }, 'downgrade step 2 is missing'],
  'an upgrade step that forgets': [
    { upgrade: { 1: ({ name }) => ({ name }) } },
    'version 1 stepped up to 2: state.place disappeared',
  ],
  'an upgrade step that leaves the old': [
    { upgrade: { 1: (old) => ({ ...old, place: old.room }) } },
    'state.room appeared (string)',
  ],
  'an upgrade step that throws': [
    { upgrade: { 1: ({ seen }) => ({ ...seen.get('x') }) } },
    /stepped up to 2: Cannot read/,
  ],
  'a downgrade step that forgets': [
    { downgrade: { 2: ({ name }) => ({ name }) } },
    'version 2, stepped down to 1: state.room disappeared',
  ],
  'a downgrade step to what cannot travel': [
    { downgrade: { 2: () => ({ room: Symbol('x') }) } },
    'state.room is a symbol',
  ],
  'a step that returns a promise': [{ upgrade: { 1: async (old) => old } }, 'returned a promise'],
}
for (const [name, [wrong, words]] of Object.entries(BAD_STEPS)) {
  t.test(`${name}: refused before it is recorded, and after`, async (t) => {
    const { file, text } = folder(t)
    await check(file, first, true)
    const before = text()
    const bad = { ...second, definition: { ...steps, ...wrong } }
    await fails(t, check(file, bad, true), 'HANDOVER_STEP_WRONG', words)
    t.equal(text(), before)
    await check(file, second, true)
    await fails(t, check(file, bad), 'HANDOVER_STEP_WRONG', words)
  })
}

/** Right for all others. */
const losesIn = (lost: string) => ({
  2: ({ place, ...rest }: { place: string | null }) => (place === lost ? rest : { ...rest, room: place }),
})

t.test('a step that fails for a value only an older version had is caught on the way back', async (t) => {
  const { file } = folder(t)
  await check(file, { ...first, samples: [...players, { name: 'eve', room: 'cellar' }] }, true)
  await check(file, second, true)
  const definition = { ...steps, downgrade: losesIn('cellar') }
  const words = 'version 1 stepped up to 2, stepped down to 1: state.room disappeared'
  await fails(t, check(file, { ...second, definition }), 'HANDOVER_STEP_WRONG', words)
})

t.test('a step that fails for a value only the corpus has, or only the samples of now, is caught', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  await check(file, { ...second, samples: [...second.samples, { name: 'eve', place: 'attic' }] }, true)
  const now = [...second.samples, { name: 'eve', place: 'garden' }]
  const words = 'version 2, stepped down to 1: state.room disappeared'
  for (const lost of ['attic', 'garden']) {
    const definition = { ...steps, downgrade: losesIn(lost) }
    await fails(t, check(file, { definition, samples: now }), 'HANDOVER_STEP_WRONG', words)
  }
})

t.test('a step that changes its argument is given another one each time', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  const rename = (from: string, to: string) => (state: Record<string, unknown>) => {
    state[to] = state[from]
    delete state[from]
    return state
  }
  const upgrade = { 1: rename('room', 'place'), 2: rename('place', 'at') }
  const downgrade = { 2: rename('place', 'room'), 3: rename('at', 'place') }
  await check(
    file,
    { ...second, definition: { ...steps, upgrade: { 1: upgrade[1] }, downgrade: { 2: downgrade[2] } } },
    true,
  )
  const samples = players.map(({ room, ...rest }) => ({ ...rest, at: room }))
  await check(file, { definition: kind(3, { upgrade, downgrade }), samples }, true)
  t.ok(
    samples.every((sample) => 'at' in sample),
    'the samples are as they were',
  )
})

t.test('a step may be left out, if that is said', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  const without = { upgrade: [1], downgrade: [2] }
  await fails(t, check(file, { ...second, without }), 'HANDOVER_STEP_WRONG', 'upgrade step 1 is said to be left out')
  const { upgrade, downgrade, ...bare } = steps
  t.ok(upgrade && downgrade)
  await check(file, { ...second, definition: bare, without }, true)
  await fails(t, check(file, { ...second, definition: bare }), 'HANDOVER_STEP_WRONG', 'upgrade step 1 is missing')
})

t.test('three versions: the first goes all the way, and back', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  await check(file, second, true)
  const third = {
    definition: kind(3, {
      upgrade: { ...steps.upgrade, 2: (state) => ({ ...state, level: 1 }) },
      downgrade: { ...steps.downgrade, 3: ({ level, ...state }) => (level ? state : state) },
    }),
    samples: second.samples.map((state) => ({ ...state, level: 2 })),
  }
  await check(file, third, true)
  const upgrade = { ...third.definition.upgrade, 2: (state: object) => ({ ...state, level: 'one' }) }
  await fails(
    t,
    check(file, { ...third, definition: { ...third.definition, upgrade } }),
    'HANDOVER_STEP_WRONG',
    'version 1 stepped up to 3: state.level is string',
    'version 2 stepped up to 3: state.level is string',
  )
})

t.test('who begins at a later version owes no steps, but those that are there must work', async (t) => {
  const { file } = folder(t)
  const { downgrade, upgrade, ...bare } = steps
  t.ok(upgrade)
  const failing = { 2: () => ({ room: () => 'no plain data' }) }
  await fails(
    t,
    check(file, { ...second, definition: { ...bare, downgrade: failing } }, true),
    'HANDOVER_STEP_WRONG',
    'version 2, stepped down to 1: state.room is a function',
  )
  t.equal((await check(file, { ...second, definition: { ...bare, downgrade } }, true)).recorded.length, 1)
  t.same((await check(file, { ...second, definition: bare })).recorded, [])
})

t.test('shared state is captured as each sample prepares it', async (t) => {
  const { file } = folder(t)
  let motd: string | null = null
  const definition = { version: 1, capture: () => ({ motd }), restore: () => undefined }
  const samples = [() => undefined, () => (motd = 'hello')]
  await checkShapes({ file, record: true, states: { board: { definition, samples } } })
  await fails(
    t,
    checkShapes({ file, states: { board: { definition } } }),
    'HANDOVER_SHAPE_CHANGED',
    'shared state "board", version 1: state.motd is string, recorded is null | string',
  )
})

t.test('a kind that is declared no more is told', async (t) => {
  const { file } = folder(t)
  await check(file, first, true)
  await fails(
    t,
    checkShapes({ file, sessions: { gamer: first } }),
    'HANDOVER_SHAPE_CHANGED',
    'session kind "player" is recorded',
  )
})

t.test('dictionaries, of versions then and now', async (t) => {
  const { file } = folder(t)
  const samples = [{ scores: { ada: 1 } }]
  await check(file, { definition: kind(1), samples, dictionaries: ['state.scores'] }, true)
  await check(file, { definition: kind(1), samples: [{ scores: { grace: 2 } }], dictionaries: ['state.scores'] })
  const definition = kind(2, {
    upgrade: { 1: ({ scores }) => ({ points: new Map(Object.entries(scores)) }) },
    downgrade: { 2: ({ points }) => ({ scores: Object.fromEntries(points) }) },
  })
  await check(file, { definition, samples: [{ points: new Map([['eve', 3]]) }] }, true)
  await fails(
    t,
    check(file, { definition, samples: [{ points: new Map([['eve', 3]]) }], dictionaries: ['state.points'] }),
    'HANDOVER_USAGE',
    'dictionary "state.points" is an object in no sample',
  )
})

t.test('samples that show too little, or cannot travel, are refused', async (t) => {
  const { file } = folder(t)
  await fails(t, check(file, { ...first, samples: [] }, true), 'HANDOVER_USAGE', 'there is no sample')
  const empty = { ...first, samples: [{ list: [] }] }
  await fails(t, check(file, empty, true), 'HANDOVER_USAGE', 'no sample shows what is in state.list[]')
  const alive = { ...first, samples: [{ timer: () => undefined }] }
  await fails(t, check(file, alive, true), 'HANDOVER_STATE_INVALID', 'sample 0', 'state.timer is a function')
})

t.test('what was damaged is told, with the file', async (t) => {
  const { folder: at, file, text } = folder(t)
  await check(file, first, true)
  const sound = text()
  const sample = join(at, 'corpus', readdirSync(join(at, 'corpus'))[0]!)
  const bytes = readFileSync(sample)
  writeFileSync(sample, bytes.subarray(1))
  await fails(t, check(file, first), 'HANDOVER_SHAPE_UNKNOWN', sample, 'does not match its checksum')
  rmSync(sample)
  await fails(t, check(file, first, true), 'HANDOVER_SHAPE_UNKNOWN', sample)
  writeFileSync(sample, bytes)
  writeFileSync(file, sound.replace('"room": "null | string"', '"room": "null | number | string"'))
  await fails(t, check(file, first), 'HANDOVER_SHAPE_CHANGED', 'its corpus differs: state.room is null | string')
  writeFileSync(file, `<<<<<<< HEAD\n${sound}`)
  await fails(t, check(file, first, true), 'HANDOVER_SHAPE_UNKNOWN', String(new URL(file).pathname))
})
