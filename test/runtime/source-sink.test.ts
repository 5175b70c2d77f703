import t from 'tap'
import type { SessionDefinition } from '../../src/runtime/types.js'
import type { Sink } from '../../src/transfer/types.js'
import type { SessionRecord } from '../../src/wire/session-record.js'
import { type FakeSocket, type Faults, Half, labelOf, Move, move, reasonsOf, socket } from './pair.js'

interface Session {
  nick: string
  [more: string]: unknown
}

const chat = (more: Partial<SessionDefinition<unknown>> = {}): SessionDefinition<unknown> => ({
  version: 1,
  capture: (_socket, session) => session,
  restore: (_socket, state) => state,
  ...more,
})

const rooms = (more: object = {}) => ({
  version: 1,
  capture: () => new Map([['lobby', 1]]),
  restore: () => undefined,
  ...more,
})

/** A half with one kind "chat" and so many sessions of it. */
function half(count: number, definition = chat(), faults?: Faults) {
  const one = new Half(faults)
  const kind = one.sessions.declare('chat', definition)
  for (let index = 0; index < count; index++) kind.open(socket(`s${index}`), { nick: `nick ${index}` })
  one.log.length = 0
  return Object.assign(one, { kind })
}

const follows = { precopy: { update: () => undefined, forget: () => undefined } }

const nicksOf = (kind: Iterable<[unknown, unknown]>): string[] =>
  [...kind].map(([, session]) => (session as Session).nick)

t.test('states first, then sessions, then life; the predecessor lets go of all', async (t) => {
  const before = half(2)
  before.states.declare('rooms', rooms())
  const after = half(0)
  after.states.declare(
    'rooms',
    rooms({ restore: (state: unknown) => after.log.push(`restore ${(state as Map<string, number>).get('lobby')}`) }),
  )
  // A slice of time may end after the first.
  const batches = move(before.source(), after.sink())
  t.equal(
    batches.reduce((sum, size) => sum + size, 0),
    2,
  )
  t.same(before.log, ['freeze', 'abandon s0', 'abandon s1', 'handed over 2'])
  t.same(after.log, [
    ...['adopt s0', 'adopt s1', 'restore 1'],
    ...['update s0 to 0, bare', 'prepare s0', 'update s1 to 0, bare', 'prepare s1'],
    'active',
  ])
  t.same(nicksOf(after.kind), ['nick 0', 'nick 1'])
  t.same(
    [...after.kind].map(([one]) => labelOf(one)),
    ['s0', 's1'],
  )
})

t.test('a session keeps its id, and a new one gets another', async (t) => {
  const before = half(3)
  const after = half(0)
  move(before.source(), after.sink())
  after.kind.open(socket('new'), { nick: 'new' })
  const ids = [...after.kind.entries.values()].map(({ id }) => id)
  t.same(ids.slice(0, 3), [1, 2, 3])
  t.ok((ids[3] as number) > 1000, 'far enough for those the predecessor may still open')
})

t.test('parts of a freeze: 128 sessions, new or changed, or a megabyte', async (t) => {
  const partsOf = (from: Half): string[] => new Move(from.source(), half(0).sink()).freeze().sent.slice(1)
  t.same(partsOf(half(300)), ['batch 128', 'batch 128', 'batch 44'])
  const large = chat({ capture: () => Buffer.alloc(600_000) })
  t.same(partsOf(half(5, large)), ['batch 2', 'batch 2', 'batch 1'])

  const changesOf = (from: Half): string[] => {
    const { sent } = new Move(from.source(), half(0).sink()).serve().freeze()
    return sent.slice(sent.indexOf('freeze') + 1)
  }
  t.same(changesOf(half(300)), ['update 128', 'update 128', 'update 44'])
  t.same(changesOf(half(5, large)), ['update 2', 'update 2', 'update 1'])
})

t.test('while it is served parts are small: a slice of time each', async (t) => {
  const slow = chat({ capture: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1), ...follows })
  t.same(new Move(half(3, slow).source(), half(0, slow).sink()).serve().sent, ['batch 1', 'batch 1', 'batch 1'])
})

t.test('a socket that is destroyed, only its close is to come, does not go', async (t) => {
  const before = half(2)
  const [[first]] = [...before.kind] as [[unknown, unknown]]
  ;(first as FakeSocket).destroyed = true
  t.same(move(before.source(), half(0).sink()), [1])
  t.same(before.log, ['freeze', 'abandon s1', 'handed over 1'])
})

t.test('restore may have opened the session itself', async (t) => {
  const after = half(0, chat({ restore: (one, state) => after.kind.open(one, state) }))
  move(half(1).source(), after.sink())
  t.same(nicksOf(after.kind), ['nick 0'])
})

t.test('a kind the successor does not know, with nobody in it: left out', async (t) => {
  const before = half(1)
  before.sessions.declare('admin', chat())
  t.same(move(before.source(), half(0).sink()), [1])
})

t.test('the same, but somebody came since the offer: refused', async (t) => {
  const before = half(0)
  const admin = before.sessions.declare('admin', chat({ version: 3 }))
  const reasons = reasonsOf(() =>
    move(before.source(), half(0).sink(), (accept) => {
      admin.open(socket('late'), {})
      return accept
    }),
  )
  t.same(reasons, [{ kind: 'admin', version: 3, reason: 'the successor does not know this session kind', count: 1 }])
})

t.test('a kind the successor does not know, with sessions: refused, with their number', async (t) => {
  const before = half(5, chat({ version: 2 }))
  const reasons = reasonsOf(() => move(before.source(), new Half().sink()))
  t.same(reasons, [
    { kind: 'chat', version: 2, reason: 'the successor does not declare session kind "chat"', count: 5 },
  ])
  t.same(before.log, [], 'nothing was frozen')
})

t.test('a shared state the successor does not know: refused, though nobody is there', async (t) => {
  const before = half(0)
  before.states.declare('rooms', rooms({ version: 4 }))
  const reasons = reasonsOf(() => move(before.source(), half(0).sink()))
  t.same(reasons, [
    { kind: 'rooms', version: 4, reason: 'the successor does not declare shared state "rooms"', count: 1 },
  ])
})

t.test('no version in common: every kind and state with its reason', async (t) => {
  const before = half(2, chat({ version: 3, downgrade: { 3: (state) => state } }))
  before.states.declare('rooms', rooms({ version: 2 }))
  const after = half(0)
  after.states.declare('rooms', rooms())
  const reasons = reasonsOf(() => move(before.source(), after.sink()))
  t.same(reasons, [
    {
      kind: 'chat',
      version: 3,
      reason: 'the predecessor writes version 3, 2 of session kind "chat", the successor reads 1',
      count: 2,
    },
    {
      kind: 'rooms',
      version: 2,
      reason: 'the predecessor writes version 2 of shared state "rooms", the successor reads 1',
      count: 1,
    },
  ])
})

const v2 = chat({
  version: 2,
  upgrade: { 1: (state: Session) => ({ ...state, color: 'red' }) },
  downgrade: {
    2: (state: Session) => {
      // In place, as it may.
      delete state['color']
      return state
    },
  },
})

t.test('to a newer version, and back to the older', async (t) => {
  const [one, two, three] = [half(1), half(0, v2), half(0)]
  move(one.source(), two.sink())
  t.same(
    [...two.kind].map(([, session]) => session),
    [{ nick: 'nick 0', color: 'red' }],
  )
  move(two.source(), three.sink())
  t.same(
    [...three.kind].map(([, session]) => session),
    [{ nick: 'nick 0' }],
  )
})

t.test('a step down does not change the session that is served on when the upgrade is aborted', async (t) => {
  const before = half(0, v2)
  before.kind.open(socket('a'), { nick: 'ada', color: 'blue' })
  const after = half(
    0,
    chat({
      restore: () => {
        throw new Error('no room')
      },
    }),
  )
  t.match(
    reasonsOf(() => move(before.source(), after.sink())),
    [{ reason: /no room/ }],
  )
  t.same(
    [...before.kind].map(([, session]) => session),
    [{ nick: 'ada', color: 'blue' }],
  )
})

t.test('a version that was not offered is not written by that name', async (t) => {
  const choose = (version: number) =>
    reasonsOf(() =>
      move(half(1, v2).source(), half(0, v2).sink(), (accept) => ({
        ...accept,
        sessions: [{ name: 'chat', version }],
      })),
    )
  t.match(choose(3), [
    { kind: 'chat', version: 3, reason: 'the successor chose version 3 of session kind "chat", offered were 2, 1' },
  ])
  const before = half(0)
  before.states.declare('rooms', rooms())
  const after = half(0)
  after.states.declare('rooms', rooms())
  const reasons = reasonsOf(() =>
    move(before.source(), after.sink(), (accept) => ({ ...accept, states: [{ name: 'rooms', version: 2 }] })),
  )
  t.match(reasons, [
    { kind: 'rooms', version: 2, reason: 'the successor chose version 2 of shared state "rooms", offered were 1' },
  ])
})

/** What makes a side refuse, and the words it must use. */
const throwing = (error: unknown) => () => {
  throw error
}
const promising = () => Promise.reject(new Error('nobody hears this'))

for (const [name, capture, why] of [
  ['throws', throwing(new Error('no memory')), /^capture of chat failed: no memory$/],
  ['throws what is no error', throwing('just words'), /^capture of chat failed: just words$/],
  ['returns a promise', promising, /^capture of chat failed: it returned a promise; capture is synchronous/],
  [
    'returns what is not plain',
    () => ({ at: new URL('http://a') }),
    /^capture of chat failed: state\.at is an instance of URL/,
  ],
] as const) {
  t.test(`capture ${name}: refused with kind, version and reason`, async (t) => {
    const reasons = reasonsOf(() =>
      move(half(2, chat({ version: 7, capture })).source(), half(0, chat({ version: 7 })).sink()),
    )
    t.match(reasons, [{ kind: 'chat', version: 7, reason: why, count: 1 }])
  })

  t.test(`capture of a state ${name}: refused the same way`, async (t) => {
    const [before, after] = [half(0), half(0)]
    before.states.declare('rooms', rooms({ version: 7, capture }))
    after.states.declare('rooms', rooms({ version: 7 }))
    const words = new RegExp(why.source.replace('of chat', 'of shared state rooms'))
    t.match(
      reasonsOf(() => move(before.source(), after.sink())),
      [{ kind: 'rooms', version: 7, reason: words, count: 1 }],
    )
  })
}

for (const [name, restore, why] of [
  ['throws', throwing(new Error('no memory')), /^restore of (chat|shared state rooms) failed: no memory$/],
  [
    'returns a promise',
    promising,
    /^restore of (chat|shared state rooms) failed: it returned a promise; restore is synchronous/,
  ],
] as const) {
  t.test(`restore ${name}: refused, and what was adopted is discarded`, async (t) => {
    const after = half(0, chat({ version: 7, restore }))
    const sink = after.sink()
    t.match(
      reasonsOf(() => move(half(2, chat({ version: 7 })).source(), sink)),
      [{ kind: 'chat', version: 7, reason: why, count: 1 }],
    )
    sink.discard()
    t.same(after.log, [
      ...['adopt s0', 'adopt s1', 'update s0 to 0, bare', 'prepare s0'],
      ...['discard s0', 'discard s1'],
    ])
    t.equal(after.kind.size, 0)
  })

  t.test(`restore of a state ${name}: refused the same way`, async (t) => {
    const [before, after] = [half(0), half(0)]
    before.states.declare('rooms', rooms())
    after.states.declare('rooms', rooms({ restore }))
    t.match(
      reasonsOf(() => move(before.source(), after.sink())),
      [{ kind: 'rooms', version: 1, reason: why, count: 1 }],
    )
  })
}

t.test('a step between versions that throws, or returns a promise', async (t) => {
  const up = (step: () => unknown) =>
    reasonsOf(() => move(half(1).source(), half(0, chat({ version: 2, upgrade: { 1: step } })).sink()))
  t.match(up(throwing(new Error('odd'))), [{ kind: 'chat', version: 1, reason: 'restore of chat failed: odd' }])
  t.match(up(promising), [{ kind: 'chat', reason: /restore of chat failed: upgrade step 1 returned a promise/ }])
  const down = (step: () => unknown) =>
    reasonsOf(() => move(half(1, chat({ version: 2, downgrade: { 2: step } })).source(), half(0).sink()))
  t.match(down(throwing(new Error('odd'))), [{ kind: 'chat', version: 1, reason: 'capture of chat failed: odd' }])
  t.match(down(promising), [{ kind: 'chat', reason: /capture of chat failed: downgrade step 2 returned a promise/ }])
})

t.test('reasons are cut to what a message may say', async (t) => {
  const book = throwing(new Error('x'.repeat(10_000)))
  for (const [before, after] of [
    [half(1, chat({ capture: book })), half(0)],
    [half(1), half(0, chat({ restore: book }))],
  ] as const) {
    t.equal(reasonsOf(() => move(before.source(), after.sink()))[0]?.reason.length, 4096)
  }
})

t.test('state that was damaged on the way', async (t) => {
  const damaged = { reason: /restore of chat failed: state of \d+ bytes does not match its checksum/ }
  const sinkOf = (change: (state: SessionRecord[3]) => number): Sink => {
    const sink = half(0).sink()
    return {
      ...sink,
      adopt: (choice, [id, kind, state, sum, told], fd) => sink.adopt(choice, [id, kind, state, change(sum), told], fd),
      update: ([id, state, sum, told]) => sink.update([id, state, change(sum), told]),
    }
  }
  const flip = (sum: number): number => sum ^ 1
  const way = (sink: Sink): Move => new Move(half(1).source(), sink)
  t.match(
    reasonsOf(() => way(sinkOf(flip)).freeze()),
    [{ kind: 'chat', version: 1, ...damaged }],
  )
  t.match(
    reasonsOf(() => way(sinkOf(flip)).serve().freeze()),
    [{ kind: 'chat', version: 1, ...damaged }],
    'of a session whose socket came first',
  )
})

t.test('a socket that cannot be described or adopted', async (t) => {
  const undescribed = half(1, chat(), { describe: new Error('output in flight') })
  t.match(
    reasonsOf(() => move(undescribed.source(), half(0).sink())),
    [{ kind: 'chat', version: 1, reason: 'output in flight', count: 1 }],
  )
  const unadopted = half(0, chat(), { adopt: new Error('EBADF') })
  t.match(
    reasonsOf(() => move(half(1).source(), unadopted.sink())),
    [{ reason: 'adoption of a session of kind chat failed: EBADF' }],
  )
})

t.test('a Node on which sockets cannot move', async (t) => {
  const before = half(3, chat(), { unsupported: 'handle.fd' })
  t.match(before.source().offer(), { descriptors: 0, sessions: [{ name: 'chat', sessions: 0 }] })
  t.same(move(before.source(), half(0).sink()), [], 'nothing goes; all is drained')
  const after = half(0, chat(), { unsupported: 'handle.fd' })
  t.match(
    reasonsOf(() => move(half(3).source(), after.sink())),
    [{ reason: /cannot be adopted on Node .*handle\.fd is not there/, count: 3 }],
  )
  t.same(move(half(0).source(), after.sink()), [])
})

t.test('handing over twice the same source never happens; a second source has the sessions still', async (t) => {
  const before = half(2)
  t.throws(() => move(before.source(), new Half().sink()))
  const batches = move(before.source(), half(0).sink())
  const moved = batches.reduce((sum, size) => sum + size, 0)
  t.equal(moved, 2, 'an upgrade that was refused leaves the next one everything')
})
