/** What a predecessor sends while it serves, and what is left for the freeze. */
import type { Socket } from 'node:net'
import t from 'tap'
import type { Precopy, SessionDefinition, StateDefinition } from '../../src/runtime/types.js'
import type { CopyLimits } from '../../src/transfer/types.js'
import { fake, Half, Move, reasonsOf, socket } from './pair.js'

interface Session {
  nick: string
  at: number
}

/** A half with one kind "player", which is restored early and notes what the app is told. */
class Players extends Half {
  readonly told: string[] = []
  readonly captured: string[] = []
  readonly sockets: Socket[] = []
  readonly kind

  constructor(count: number, changes: 'compare' | 'touch' | 'none', more: Partial<SessionDefinition<Session>> = {}) {
    super()
    const precopy: Precopy<Session> = {
      changes: changes as 'compare',
      update: (_socket, session, state: Session) => {
        this.told.push(`update ${state.nick} to ${state.at}`)
        Object.assign(session, state)
      },
      forget: (_socket, { nick }) => void this.told.push(`forget ${nick}`),
    }
    const definition: SessionDefinition<Session> = {
      version: 1,
      capture: (_socket, session) => {
        this.captured.push(session.nick)
        return session
      },
      restore: (_socket, state: Session) => {
        this.told.push(`restore ${state.nick} at ${state.at}`)
        return state
      },
      ...(changes === 'none' ? {} : { precopy }),
      ...more,
    }
    this.kind = this.sessions.declare('player', definition as SessionDefinition<unknown>)
    for (let index = 0; index < count; index++) this.open(`p${index}`)
    this.log.length = 0
  }

  open(nick: string): Socket {
    const one = socket(nick)
    this.kind.open(one, { nick, at: 0 })
    this.sockets.push(one)
    return one
  }

  session(index: number): Session {
    return this.kind.get(this.sockets[index]!) as Session
  }

  /** The app changes a session, and says so or not. */
  change(index: number, isTouched = true): void {
    this.session(index).at++
    if (isTouched) this.kind.touch(this.sockets[index]!)
  }

  use(index: number): void {
    this.transport.use(this.sockets[index]!)
  }

  destroy(one: Socket): void {
    this.transport.use(one)
    fake(one).destroyed = true
  }

  close(index: number): void {
    this.destroy(this.sockets[index]!)
    this.sockets[index]!.emit('close')
  }
}

const rooms = (own: { rooms: number }, told: string[]): StateDefinition<number> => ({
  version: 1,
  capture: () => own.rooms,
  restore: (count) => void told.push(`rooms ${count}`),
})

const restored = (count: number): string[] => Array.from({ length: count }, (_, index) => `restore p${index} at 0`)

for (const changes of ['touch', 'compare'] as const) {
  t.test(
    `${changes}: restored while it is served; the freeze brings what has changed, and nothing twice`,
    async (t) => {
      const [before, after] = [new Players(4, changes), new Players(0, changes)]
      const move = new Move(before.source(), after.sink()).serve()
      t.same(after.told.splice(0), restored(4))
      before.change(1)
      before.captured.length = 0
      move.freeze()
      t.same(after.told.splice(0), ['update p1 to 1'])
      t.same(before.captured, changes === 'touch' ? ['p1'] : ['p1', 'p0', 'p2', 'p3'], 'who is asked for its state')
      move.commit()
      t.same(after.told, [])
      t.same(
        [...after.kind].map(([, session]) => session),
        ['p0', 'p1', 'p2', 'p3'].map((nick) => ({ nick, at: nick === 'p1' ? 1 : 0 })),
        'in the order they were',
      )
      t.equal(before.transport.followers.size, 0, 'nothing is followed any more')
    },
  )
}

t.test('a change nobody speaks of: compare sees it, touch does not', async (t) => {
  for (const [changes, told] of [
    ['compare', ['update p0 to 1']],
    ['touch', []],
  ] as const) {
    const [before, after] = [new Players(1, changes), new Players(0, changes)]
    const move = new Move(before.source(), after.sink()).serve()
    after.told.length = 0
    before.change(0, false)
    move.freeze()
    t.same(after.told, told, changes)
  }
})

t.test('what becomes of a socket is a change: its use, and what it does by itself', async (t) => {
  const [before, after] = [new Players(5, 'touch'), new Players(0, 'touch')]
  fake(before.sockets[2]!).isUnsettled = true
  const move = new Move(before.source(), after.sink()).serve()
  for (let index = 0; index < 4; index++) before.change(index, false)
  fake(before.sockets[1]!).stamp = 7
  before.use(1)
  before.use(0)
  after.log.length = after.told.length = 0
  move.freeze()
  t.same(after.told, ['update p1 to 1', 'update p0 to 1', 'update p2 to 1'])
  t.same(
    after.log.filter((what) => what.startsWith('update')),
    ['update p1 to 7, restored', 'update p0 to 0, restored', 'update p2 to 0, restored'],
  )
  t.same(
    after.log.filter((what) => what.startsWith('attach')),
    ['attach p1', 'attach p0', 'attach p2'],
    'they are likely to be used next',
  )
})

t.test('what has settled by itself is not sent again', async (t) => {
  const [before, after] = [new Players(30, 'touch'), new Players(0, 'touch')]
  const one = fake(before.sockets[2]!)
  one.isUnsettled = true
  const move = new Move(before.source(), after.sink()).serve(() => {
    if (!one.isUnsettled || after.told.length < 30) return
    one.isUnsettled = false
    for (let index = 0; index < 30; index++) before.use(index)
  })
  after.log.length = 0
  move.freeze()
  t.same(after.log, [])
})

t.test('compare: of a clean session neither state nor socket is sent again', async (t) => {
  const [before, after] = [new Players(2, 'compare'), new Players(0, 'compare')]
  const { sent } = new Move(before.source(), after.sink()).serve().freeze()
  t.same(sent.slice(sent.indexOf('freeze')), ['freeze'], 'nothing after it')
})

t.test('sessions that open and end meanwhile', async (t) => {
  const [before, after] = [new Players(3, 'touch'), new Players(0, 'touch')]
  const move = new Move(before.source(), after.sink())
  before.close(0)
  move.serve()
  t.same(after.told.splice(0), ['restore p1 at 0', 'restore p2 at 0'], 'who ends before it was sent never comes')
  before.close(1)
  before.open('p3')
  const p4 = before.open('p4')
  before.kind.leave(p4)
  before.close(3)
  before.open('p5')
  before.kind.leave(before.sockets[2]!)
  before.use(2)
  move.freeze()
  t.same(after.told.splice(0).sort(), ['forget p1', 'forget p2', 'restore p5 at 0'])
  t.ok(after.log.includes('discard p1') && after.log.includes('discard p2'), 'their sockets are closed')
  move.commit()
  t.same(
    [...after.kind].map(([, session]) => (session as Session).nick),
    ['p5'],
  )
  t.notOk(before.log.includes('abandon p2'), 'who has left is drained')
})

t.test("who is destroyed, with 'close' still to come", async (t) => {
  const [before, after] = [new Players(3, 'touch'), new Players(0, 'touch')]
  before.destroy(before.sockets[0]!)
  const move = new Move(before.source(), after.sink()).serve()
  before.destroy(before.sockets[1]!)
  before.destroy(before.open('p3'))
  move.freeze().commit()
  t.same(after.told, ['restore p1 at 0', 'restore p2 at 0', 'forget p1'])
})

t.test('all that is new is destroyed: no part of nothing', async (t) => {
  const [before, after] = [new Players(1, 'touch'), new Players(0, 'touch')]
  before.destroy(before.sockets[0]!)
  t.same(new Move(before.source(), after.sink()).serve().freeze().sent, ['freeze'])
})

t.test('many that change: rounds, until few are left', async (t) => {
  const [before, after] = [new Players(200, 'touch'), new Players(0, 'touch')]
  let left = 3
  const move = new Move(before.source(), after.sink()).serve(() => {
    if (after.told.length < 200 || left === 0) return
    left--
    for (let index = 0; index < 100; index++) before.change(index)
  })
  t.ok(after.told.filter((told) => told.startsWith('update')).length >= 100, 'while it was served')
  move.freeze()
  t.ok(left < 3)
  t.equal((after.kind.get([...after.kind][0]![0]) as Session).at, 3 - left)
})

t.test('it ends, however many change all the time', async (t) => {
  const [before, after] = [new Players(200, 'touch'), new Players(0, 'touch')]
  const move = new Move(before.source(), after.sink()).serve(() => {
    for (let index = 0; index < 200; index++) before.change(index)
  })
  const { length } = move.sent
  t.ok(length < 2_000, `${length} parts`)
  move.freeze().commit()
  const at = [...after.kind].map(([, session]) => (session as Session).at)
  t.same(at, Array(200).fill(before.captured.length > 0 ? at[0] : undefined))
  t.ok(at[0]! > 0)
})

t.test('it ends, though sessions come and go all the time', async (t) => {
  const [before, after] = [new Players(200, 'touch'), new Players(0, 'touch')]
  let last = before.sockets.length
  let turns = 0
  const move = new Move(before.source(), after.sink()).serve(() => {
    if (++turns > 5_000) throw new Error('it does not end')
    for (let index = 0; index < 200; index++) before.change(index)
    // Each next time one goes that has been sent, and one that has not.
    before.open(`n${turns}`)
    before.open(`m${turns}`)
    before.close(last)
    if (turns > 1) before.close(last - 1)
    last += 2
  })
  move.freeze().commit()
  t.equal(after.kind.size, 201)
  t.equal(after.told.filter((told) => told.startsWith('restore p')).length, 200, 'those of the beginning came early')
})

t.test('shared state: before the first session, and once more if it has changed', async (t) => {
  for (const [isChanged, changes, expected] of [
    [false, 'touch', ['rooms 1', 'restore p0 at 0', '-']],
    [true, 'touch', ['rooms 1', 'restore p0 at 0', '-', 'rooms 2']],
    [true, 'none', ['-', 'rooms 2', 'restore p0 at 0']],
  ] as const) {
    const [before, after] = [new Players(1, changes), new Players(0, changes)]
    const own = { rooms: 1 }
    before.states.declare('rooms', rooms(own, []))
    after.states.declare('rooms', rooms({ rooms: 0 }, after.told))
    const move = new Move(before.source(), after.sink()).serve()
    after.told.push('-')
    if (isChanged) own.rooms = 2
    move.freeze().commit()
    t.same(after.told, expected)
  }
})

t.test('only the successor knows how to follow, or only the predecessor', async (t) => {
  const early = (from: Players, to: Players): number => {
    const move = new Move(from.source(), to.sink()).serve()
    const { length } = to.told
    if (from.session(0) !== undefined) from.change(0)
    move.freeze().commit()
    t.equal((to.kind.get([...to.kind][0]![0]) as Session).at, 1, 'it has the newest')
    return length
  }
  t.equal(early(new Players(1, 'none'), new Players(0, 'touch')), 0)
  t.equal(early(new Players(1, 'touch'), new Players(0, 'none')), 0)
})

t.test('an aborted copy leaves nothing behind, and the next one begins anew', async (t) => {
  const before = new Players(3, 'touch')
  const refused = new Players(0, 'touch')
  new Move(before.source(), refused.sink()).serve().abort()
  t.equal(before.transport.followers.size, 0)
  t.equal(before.sessions.follower, undefined)
  t.equal(refused.kind.size, 0)
  t.same(refused.log.slice(-3), ['discard p0', 'discard p1', 'discard p2'])
  const after = new Players(0, 'touch')
  before.change(2)
  new Move(before.source(), after.sink()).serve().freeze().commit()
  t.same(after.told, ['restore p0 at 0', 'restore p1 at 0', 'restore p2 at 1'])
})

for (const at of ['update', 'forget'] as const) {
  t.test(`${at} throws, or returns a promise: refused with kind, version and reason`, async (t) => {
    for (const [run, why] of [
      [
        () => {
          throw new Error('a bug')
        },
        'a bug',
      ],
      [() => Promise.reject(new Error('nobody hears this')), 'it returned a promise'],
    ] as const) {
      const precopy = { update: () => undefined, forget: () => undefined, changes: 'touch' as const, [at]: run }
      const [before, after] = [new Players(1, 'touch'), new Players(0, 'none', { precopy })]
      const move = new Move(before.source(), after.sink()).serve()
      if (at === 'update') before.change(0)
      else before.close(0)
      t.match(
        reasonsOf(() => move.freeze()),
        [{ kind: 'player', version: 1, reason: new RegExp(`^${at} of player failed: ${why}`), count: 1 }],
      )
    }
  })
}

t.test('a session the app gives up in the successor, before commit', async (t) => {
  const after = new Players(0, 'touch', {
    restore: (one, state: Session) => {
      fake(one).destroyed = true
      setImmediate(() => one.emit('close'))
      return state
    },
  })
  const before = new Players(2, 'touch')
  const move = new Move(before.source(), after.sink()).serve()
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  t.equal(after.kind.size, 0)
  before.change(0)
  before.close(1)
  move.freeze()
  t.same(after.told, [], 'it is neither updated nor forgotten: the app knows')
  move.commit()
  t.ok(before.log.includes('abandon p0'), 'the predecessor lets go of it: that ends the connection')
})

t.test('more that changes than another round would bring: it says so and freezes, or refuses', async (t) => {
  const always = (limits: CopyLimits): { move: Move; from: Players } => {
    const from = new Players(600, 'touch')
    const move = new Move(from.source(), new Players(0, 'touch').sink(), undefined, limits)
    return { move, from }
  }
  const busy = (from: Players) => () => {
    for (let index = 0; index < 600; index++) from.change(index)
  }
  const freezes = always({ copyMs: 60_000, unsettled: 'freeze', policy: 'all-or-nothing' })
  freezes.move.serve(busy(freezes.from)).freeze().commit()
  t.match(freezes.move.copy.reasons(), [
    { count: 600, reason: /^sessions change faster than they can be copied: 600 were left .* sent in the freeze$/ },
  ])
  const late = always({ copyMs: 0, unsettled: 'freeze', policy: 'all-or-nothing' })
  late.move.serve(busy(late.from))
  t.equal(late.move.copy.reasons().length, 1, 'the time is over')
  t.ok(late.move.sent.length < freezes.move.sent.length)
  const refuses = always({ copyMs: 60_000, unsettled: 'refuse', policy: 'all-or-nothing' })
  t.match(
    reasonsOf(() => refuses.move.serve(busy(refuses.from))),
    [{ count: 600, reason: /^sessions change faster than they can be copied: 600/ }],
  )
  const quiet = always({ copyMs: 60_000, unsettled: 'refuse', policy: 'all-or-nothing' })
  quiet.move.serve().freeze()
  t.same(quiet.move.copy.reasons(), [])
})

t.test('a capture that closes the socket of another: in the same part, or sent before', async (t) => {
  for (const changes of ['touch', 'compare', 'none'] as const) {
    let close: (() => void) | undefined
    const before: Players = new Players(4, changes, {
      capture: (_socket, session) => {
        if (session.nick === 'p3') close?.()
        return session
      },
    })
    const after = new Players(0, changes)
    close = () => before.destroy(before.sockets[1]!)
    const move = new Move(before.source(), after.sink()).serve()
    close = () => before.destroy(before.sockets[0]!)
    before.change(3)
    move.freeze().commit()
    t.same(
      [...after.kind].map(([, session]) => (session as Session).nick).sort(),
      changes === 'none' ? ['p1', 'p2', 'p3'] : ['p2', 'p3'],
      changes,
    )
  }
})
