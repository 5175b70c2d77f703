/** Which sessions stay behind at the freeze, and how they follow. */
import type { Socket } from 'node:net'
import t from 'tap'
import { summary } from '../../src/runtime/stay.js'
import type { SessionDefinition } from '../../src/runtime/types.js'
import type { Accept, FollowSource } from '../../src/transfer/types.js'
import { within } from '../harness/timeout.js'
import { fake, Half, LIMITS, labelOf, Move, reasonsOf, socket } from './pair.js'

const BEST_EFFORT = { ...LIMITS, policy: 'best-effort' } as const

interface Session {
  nick: string
  /** capture throws. */
  busy?: boolean
  /** restore throws. */
  broken?: boolean
}

class Players extends Half {
  readonly restored: string[] = []
  readonly sockets: Socket[] = []
  readonly kind

  constructor(count: number, more: Partial<SessionDefinition<Session>> = {}) {
    super()
    const definition: SessionDefinition<Session> = {
      version: 1,
      capture: (_socket, session) => {
        if (session.busy) throw new Error(`${session.nick} is busy`)
        return session
      },
      restore: (_socket, state: Session) => {
        if (state.broken) throw new Error(`${state.nick} is broken`)
        this.restored.push(state.nick)
        return state
      },
      ...more,
    }
    this.kind = this.sessions.declare('player', definition as SessionDefinition<unknown>)
    for (let index = 0; index < count; index++) this.open()
    this.log.length = 0
  }

  open(): number {
    const nick = `p${this.sockets.length}`
    const one = socket(nick)
    this.kind.open(one, { nick })
    return this.sockets.push(one) - 1
  }

  session(index: number): Session {
    return this.kind.get(this.sockets[index]!) as Session
  }

  close(index: number): void {
    const one = fake(this.sockets[index]!)
    one.destroyed = true
    one.emit('close')
  }

  /** Sessions in batches so far: a slice of time may end after any of them. */
  sent({ sent }: Move): number {
    return sent.reduce((sum, what) => sum + (what.startsWith('batch ') ? Number(what.slice(6)) : 0), 0)
  }

  get labels(): string[] {
    return [...this.kind].map(([one]) => labelOf(one))
  }
}

const INDEPENDENT = { independent: true } as const
const follows = (accept: Accept): Accept => ({ ...accept, follows: true })
const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `p${from + index}`)
const due = async (left: FollowSource): Promise<void> => within(left.due()!, 'the next attempt')

t.test('of an independent kind the first sixteen move in the freeze, the others after commit, in order', async (t) => {
  const [before, after] = [new Players(40, INDEPENDENT), new Players(0)]
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve()
  t.equal(before.sent(move), 16, 'their sockets, while it is served')
  t.same(after.restored, [], 'and no state')
  before.open()
  t.same(move.freeze().sent.slice(-2), ['freeze', 'update 16'])
  move.commit()
  t.same(after.restored, names(0, 16))
  t.same(before.labels, names(16, 41))
  for (let taken = 16; taken < 41; taken = after.restored.length) {
    t.same(move.follow(), [])
    // A slow machine takes fewer at a time.
    const size = after.restored.length - taken
    t.ok(size > 0 && size <= 16, `a batch of ${size}`)
  }
  t.same(after.restored, names(0, 41))
  t.equal(move.follow(), undefined)
  t.equal(move.left!.due(), undefined, 'nothing is left')
  t.same(before.labels, [])
  t.same(
    before.log.filter((line) => line.startsWith('abandon')),
    names(0, 41).map((nick) => `abandon ${nick}`),
  )
  t.same(
    after.log.filter((line) => line.startsWith('release')),
    names(16, 41).map((nick) => `release ${nick}`),
    'the others wake when they are used',
  )
})

t.test('ids of the successor begin above those that are still to come', async (t) => {
  const [before, after] = [new Players(30, INDEPENDENT), new Players(0)]
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve().freeze().commit()
  after.open()
  while (move.follow());
  const ids = [...after.kind.entries.values()].map(({ id }) => id)
  t.equal(new Set(ids).size, 31)
})

t.test('to a successor that does not know how, all of them move in the freeze', async (t) => {
  const [before, after] = [new Players(40, INDEPENDENT), new Players(0)]
  const move = new Move(before.source(), after.sink(), undefined, BEST_EFFORT).serve().freeze().commit()
  t.same(after.restored, names(0, 40))
  t.equal(move.left, undefined)
})

t.test('a release that cannot restore the kind is refused', async (t) => {
  const [before, after] = [new Players(40, INDEPENDENT), new Players(0)]
  before.session(3).broken = true
  const move = new Move(before.source(), after.sink(), follows).serve()
  t.match(
    reasonsOf(() => move.freeze()),
    [{ kind: 'player', version: 1, reason: /p3 is broken/ }],
  )
})

t.test('who ends, or leaves, does not follow; when the last has, that is told', async (t) => {
  const [before, after] = [new Players(20, INDEPENDENT), new Players(0)]
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve().freeze().commit()
  before.close(16)
  before.kind.leave(before.sockets[17]!)
  before.session(18).busy = true
  fake(before.sockets[19]!).destroyed = true
  t.equal(move.follow(), undefined, 'of the two that are left one cannot be captured, the other is as good as gone')
  const next = due(move.left!)
  before.close(18)
  before.close(19)
  await next
  t.equal(move.left!.due(), undefined)
  t.same(after.restored, names(0, 16))
})

t.test('who is closed, or taken out, while another is captured does not move', async (t) => {
  const before: Players = new Players(20, {
    ...INDEPENDENT,
    capture: (_socket, session) => {
      if (session.nick === 'p18') {
        before.kind.leave(before.sockets[16]!)
        fake(before.sockets[17]!).destroyed = true
      }
      return session
    },
  })
  const after = new Players(0)
  const move = new Move(before.source(), after.sink(), follows).serve().freeze().commit()
  while (move.follow());
  t.same(after.restored, [...names(0, 16), 'p18', 'p19'])
  t.notOk(before.log.includes('abandon p16') || before.log.includes('abandon p17'))
})

t.test('who is refused stays with its reason, and is tried again', async (t) => {
  const [before, after] = [new Players(20, INDEPENDENT), new Players(0)]
  before.session(17).broken = true
  before.session(18).busy = true
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve().freeze().commit()
  t.same(move.follow(), ['18'], 'its id')
  t.same(after.restored, [...names(0, 17), 'p19'])
  t.same(before.labels, ['p17', 'p18'])
  t.notOk(after.log.some((line) => line === 'release p17'))
  t.ok(after.log.includes('discard p17'))
  t.equal(after.kind.size, 18)
  await due(move.left!)
  t.same(move.follow(), ['18'])
  t.equal(move.follow(), undefined)
  before.session(17).broken = false
  before.session(18).busy = false
  // They were tried one after the other, and are due so: on a slow machine the second not yet when the first is.
  while (before.labels.length > 0) {
    await due(move.left!)
    t.same(move.follow(), [])
  }
})

t.test('the intervals double; who is touched is tried sooner', async (t) => {
  const [before, after] = [new Players(17, INDEPENDENT), new Players(0)]
  before.session(16).busy = true
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve().freeze().commit()
  const waits: number[] = []
  t.equal(move.follow(), undefined)
  for (let attempt = 0; attempt < 3; attempt++) {
    const began = performance.now()
    const next = due(move.left!)
    if (attempt === 2) before.kind.touch(before.sockets[16]!)
    await next
    waits.push(performance.now() - began)
    t.equal(move.follow(), undefined)
  }
  t.ok(waits[0]! >= 240 && waits[1]! >= 490, String(waits))
  t.ok(waits[2]! < 1_000, `not a second: ${waits[2]}`)
})

t.test('best effort: who cannot be captured, or restored, stays; the others move', async (t) => {
  for (const early of [false, true]) {
    const precopy = { changes: 'touch', update: () => undefined, forget: () => undefined } as const
    const more = early ? { precopy } : {}
    const [before, after] = [new Players(6, more), new Players(0, more)]
    before.session(1).broken = true
    before.session(2).busy = true
    const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve()
    before.session(4).busy = true
    before.kind.touch(before.sockets[4]!)
    move.freeze()
    t.same(
      move.copy
        .reasons()
        .map(({ reason, count, kind, version }) => [reason.split(': ')[1], count, kind, version])
        .sort(),
      ['p1 is broken', 'p2 is busy', 'p4 is busy'].map((reason) => [reason, 1, 'player', 1]),
    )
    move.commit()
    t.same(before.labels, ['p1', 'p2', 'p4'])
    t.same(
      [...after.kind].map(([one]) => labelOf(one)),
      ['p0', 'p3', 'p5'],
    )
    t.equal(move.follow(), undefined, 'not at once')
    for (const index of [1, 2, 4]) Object.assign(before.session(index), { busy: false, broken: false })
    // They were tried one after the other, and are due so: on a slow machine the last not yet when the first is.
    while (before.labels.length > 0) {
      await due(move.left!)
      t.same(move.follow(), [])
    }
    t.equal(after.kind.size, 6)
    t.same(
      [...before.log].filter((line) => line.startsWith('abandon')).sort(),
      names(0, 6).map((nick) => `abandon ${nick}`),
    )
  }
})

t.test('when it is over, who is left says why', async (t) => {
  const [before, after] = [new Players(18, INDEPENDENT), new Players(0)]
  const move = new Move(before.source(), after.sink(), follows, BEST_EFFORT).serve().freeze().commit()
  const left = move.left!
  left.end('the moon was full')
  t.equal(left.due(), undefined)
  const ended: string[] = []
  move.left!.onStop()
  ;(left as unknown as { onEnded: (one: Socket, stay: { reason: string }) => void }).onEnded = (one, { reason }) =>
    ended.push(`${labelOf(one)}: ${reason}`)
  before.close(16)
  t.same(ended, ['p16: it had not followed when the moon was full'], 'who ends later is told of')
  const { stayOf } = left as unknown as { stayOf(one: Socket): { reason: string } }
  t.match(stayOf.call(left, before.sockets[17]!), {
    kind: 'player',
    version: 1,
    reason: 'it had not followed when the moon was full',
  })
})

t.test('reasons are told word by word up to twenty; beyond, those of a kind are counted', async (t) => {
  const stays = Array.from({ length: 50 }, (_, index) => ({ kind: 'player', version: 1, reason: `p${index}` }))
  const rows = summary([...stays, stays[3]!, { kind: 'chat', version: 2, reason: 'other' }])
  t.equal(rows.length, 21)
  t.match(rows[0], { reason: 'p0', count: 31 })
  t.match(rows[3], { reason: 'p3', count: 2 })
  t.match(rows[20], { kind: 'chat', reason: 'other', count: 1 })
  t.equal(
    rows.reduce((sum, { count }) => sum + count, 0),
    52,
  )
})
