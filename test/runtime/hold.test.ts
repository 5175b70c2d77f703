/** "Not now", base kinds, and who is told of a freeze. */
import type { Socket } from 'node:net'
import t from 'tap'
import type { SessionDefinition } from '../../src/runtime/types.js'
import type { Accept, Batch, FollowSource } from '../../src/transfer/types.js'
import { within } from '../harness/timeout.js'
import { Half, labelOf, Move, socket } from './pair.js'

interface Job {
  name: string
  busy?: string
  /** onFreeze throws. */
  stubborn?: boolean
  /** restore throws. */
  broken?: boolean
}

class Jobs extends Half {
  /** What the app was told. */
  readonly told: string[] = []
  readonly kind
  readonly connection
  readonly sockets: Socket[] = []

  constructor(count: number, more: Partial<SessionDefinition<Job>> = {}) {
    super()
    const note = (what: string) => (_: Socket, job: Job) => void this.told.push(`${what} ${job.name}`)
    const definition: SessionDefinition<Job> = {
      version: 1,
      capture: (_socket, job) => job,
      restore: (_socket, state: Job) => {
        if (state.broken) throw new Error(`${state.name} is broken`)
        return state
      },
      notNow: (_socket, { busy }) => busy,
      onFreeze: (_socket, { name, stubborn }) => {
        this.told.push(`freeze ${name}`)
        if (stubborn) throw new Error('it will not')
      },
      onThaw: note('thaw'),
      onMoved: note('moved'),
      onAdopted: note('adopted'),
      ...more,
    }
    this.connection = this.sessions.declare(
      'connection',
      { version: 1, capture: () => null, restore: () => null },
      true,
    )
    this.kind = this.sessions.declare('job', definition as SessionDefinition<unknown>)
    for (let index = 0; index < count; index++) this.open(`j${index}`)
  }

  open(name: string): Job {
    const one = socket(name)
    this.sockets.push(one)
    return this.kind.open(one, { name }) as Job
  }

  at(index: number): Socket {
    return this.sockets[index] as Socket
  }

  job(index: number): Job {
    return this.kind.get(this.at(index)) as Job
  }

  get names(): string[] {
    return [...this.kind].map(([, job]) => (job as Job).name)
  }
}

const follows = (accept: Accept): Accept => ({ ...accept, follows: true })
const begin = (before: Jobs, after: Jobs) => new Move(before.source(), after.sink(), follows)
const due = (left: FollowSource | undefined) => within(left?.due() as Promise<void>, 'the next attempt')

t.test('each hook is called once for each session, in order', async (t) => {
  const [before, after] = [new Jobs(2), new Jobs(0)]
  const told: string[] = []
  for (const name of ['a', 'b'])
    before.hooks.add({ onFreeze: () => told.push(`freeze ${name}`), onMoved: () => told.push(`moved ${name}`) })
  const move = begin(before, after).serve()
  t.same(before.told, [], 'nobody is told while everything is served')
  move.freeze()
  t.same(before.told, ['freeze j0', 'freeze j1'])
  t.same(told, ['freeze a', 'freeze b'])
  move.commit()
  t.same(before.told.slice(2), ['moved j0', 'moved j1'])
  t.same(told.slice(2), ['moved a', 'moved b'])
  t.same(after.told, ['adopted j0', 'adopted j1'])
})

t.test('after an abort those that were told of the freeze are told that it is over', async (t) => {
  const [before, after] = [new Jobs(2), new Jobs(0)]
  const told: string[] = []
  before.hooks.add({ onThaw: () => told.push('thaw') })
  const first = begin(before, after).serve()
  first.copy.end()
  first.copy.thaw()
  t.same([...before.told, ...told], [], 'who was not told of a freeze')
  const second = begin(before, new Jobs(0)).serve().freeze()
  second.copy.end()
  second.copy.thaw()
  second.copy.thaw()
  t.same(before.told, ['freeze j0', 'freeze j1', 'thaw j0', 'thaw j1'])
  t.same(told, ['thaw'])
})

t.test('onFreeze may refuse: for its session, or for all', async (t) => {
  const [before, after] = [new Jobs(2), new Jobs(0)]
  before.job(1).stubborn = true
  const move = begin(before, after).serve()
  t.throws(() => move.freeze(), { message: /onFreeze of job failed: it will not/ })
  move.copy.thaw()
  t.same(
    before.told,
    ['freeze j0', 'freeze j1', 'thaw j0', 'thaw j1'],
    'also who has thrown: half of it may be stopped',
  )

  before.job(1).stubborn = false
  before.hooks.add({
    onFreeze: () => {
      throw new Error('the lock is held')
    },
  })
  t.throws(() => begin(before, new Jobs(0)).serve().freeze(), { message: /onFreeze failed: the lock is held/ })
})

t.test(
  'a session that says "not now" stays, is not told of the freeze, and follows at once when it is touched',
  async (t) => {
    const [before, after] = [new Jobs(3), new Jobs(0)]
    before.job(1).busy = 'in a transaction'
    const move = begin(before, after).serve().freeze()
    t.same(move.copy.reasons(), [{ kind: 'job', version: 1, reason: 'in a transaction', held: true, count: 1 }])
    move.commit()
    t.same(after.names, ['j0', 'j2'])
    t.same(before.told, ['freeze j0', 'freeze j2', 'moved j0', 'moved j2'])
    t.equal(move.follow(), undefined, 'it is not tried before it is due')
    before.told.length = 0
    after.told.length = 0

    const next = due(move.left)
    before.kind.touch(before.at(1))
    await next
    t.equal(move.follow(), undefined, 'it says so still')
    before.job(1).busy = undefined as never
    const last = due(move.left)
    before.kind.touch(before.at(1))
    await last
    t.same(move.follow(), [])
    t.same(before.told, ['freeze j1', 'moved j1'])
    t.same(after.told, ['adopted j1'])
    t.same([before.names, after.names], [[], ['j0', 'j2', 'j1']])
  },
)

t.test('one that was restored early is taken back when it says "not now" in the freeze', async (t) => {
  const forgotten: string[] = []
  const precopy = {
    update: () => undefined,
    forget: (_: Socket, job: unknown) => void forgotten.push((job as Job).name),
  }
  const [before, after] = [new Jobs(2, { precopy }), new Jobs(0, { precopy })]
  const move = begin(before, after).serve()
  t.same(after.names, ['j0', 'j1'])
  before.job(0).busy = 'mid-answer'
  move.freeze().commit()
  t.same(forgotten, ['j0'])
  t.same([before.names, after.names], [['j0'], ['j1']])
})

t.test('hold() is "not now" from outside, for as long as the last one lasts', async (t) => {
  const [before, after] = [new Jobs(2), new Jobs(0)]
  const releaseFirst = before.kind.hold(before.at(0), 'first')
  let settle = (): void => undefined
  const promise = new Promise<void>((_, reject) => {
    settle = () => reject(new Error('it does not matter how it ends'))
  })
  before.kind.hold(before.at(0), 'second', promise)
  t.throws(() => before.kind.hold(socket('stranger'), 'no'), { code: 'HANDOVER_USAGE' })
  t.throws(() => before.kind.hold(before.at(1), ''), { code: 'HANDOVER_USAGE' })
  const move = begin(before, after).serve().freeze()
  t.match(move.copy.reasons(), [{ reason: 'first', held: true }])
  move.commit()
  const next = due(move.left)
  releaseFirst()
  releaseFirst()
  t.equal(before.kind.notNow(before.at(0), null), 'second')
  settle()
  await next
  t.same(move.follow(), [])
  t.same(after.names, ['j1', 'j0'])
  t.ok(before.sessions.holds.isEmpty)
})

t.test('notNow that throws, or answers nonsense, has not said that the session may move', async (t) => {
  const before = new Jobs(1, {
    notNow: () => {
      throw new Error('no idea')
    },
  })
  t.equal(before.kind.notNow(before.at(0), null), 'notNow threw: no idea')
  const strange = new Jobs(1, { notNow: (() => true) as never })
  t.equal(strange.kind.notNow(strange.at(0), null), 'not now')
})

t.test('a refused session that is touched is tried again in its own time, and told that it stays', async (t) => {
  const [before, after] = [new Jobs(1), new Jobs(0)]
  before.job(0).busy = 'busy'
  const move = begin(before, after).serve().freeze().commit()
  before.job(0).busy = undefined as never
  before.job(0).broken = true
  const next = due(move.left)
  before.kind.touch(before.at(0))
  await next
  t.equal(move.follow()?.length, 1, 'the successor cannot restore it')
  t.same(before.told, ['freeze j0', 'thaw j0'])
  before.kind.touch(before.at(0))
  t.equal(move.follow(), undefined, 'not at once')
})

t.test('a batch that is given back is taken out in the successor, which tells nobody', async (t) => {
  const forgotten: string[] = []
  const precopy = {
    update: () => undefined,
    forget: (_: Socket, job: unknown) => void forgotten.push((job as Job).name),
  }
  const [before, after] = [new Jobs(1, { precopy }), new Jobs(0, { precopy })]
  before.job(0).busy = 'busy'
  const move = begin(before, after).serve().freeze().commit()
  forgotten.length = 0
  before.job(0).busy = undefined as never
  const next = due(move.left)
  before.kind.touch(before.at(0))
  await next
  const batch = move.left?.next() as Batch
  const sink = after.sink().follow(() => move.accept.sessions.find(({ name }) => name === 'job'))
  t.same(sink.take(batch.records, batch.descriptors), [])
  t.same(after.names, ['j0'])
  sink.discard()
  move.left?.keep(new Error('the successor did not take it'))
  t.same([before.names, after.names, forgotten], [['j0'], [], ['j0']])
  t.same(after.told, [], 'it was never live there')
  move.left?.end('the test is over')
})

t.test('at the deadline kinds that would rather move are moved', async (t) => {
  for (const atDeadline of ['close', 'move'] as const) {
    const [before, after] = [new Jobs(1, { atDeadline }), new Jobs(0)]
    before.job(0).busy = 'in a transaction'
    const move = begin(before, after).serve().freeze().commit()
    const left = move.left as unknown as { force(): Promise<void>; forced: unknown[] }
    const next = due(move.left)
    const forced = left.force()
    if (atDeadline === 'move') {
      await next
      t.same(move.follow(), [])
      t.equal(move.left?.due(), undefined)
    }
    await forced
    t.same(after.names, atDeadline === 'move' ? ['j0'] : [])
    t.match(left.forced, atDeadline === 'move' ? [{ reason: 'in a transaction' }] : [])
    move.left?.end('the test is over')
  }
})

t.test('another kind takes a base session over, and gives it back', async (t) => {
  const jobs = new Jobs(0)
  const one = socket('c')
  const session = { is: 'a connection' }
  jobs.connection.open(one, session)
  const first = jobs.connection.entries.get(one)?.id
  jobs.kind.open(one, { name: 'taken' })
  t.equal(jobs.connection.size, 0)
  t.not(jobs.kind.entries.get(one)?.id, first, 'a new id: the copy under way may know the old one')
  t.throws(() => jobs.kind.open(one, { name: 'again' }), { code: 'HANDOVER_USAGE' })
  t.throws(() => jobs.connection.open(one, session), { code: 'HANDOVER_USAGE' })
  t.equal(jobs.kind.leave(one), true)
  t.equal(jobs.connection.get(one), session, 'as it was')
  t.equal(one.listenerCount('close'), 1)
  jobs.kind.open(one, { name: 'taken' })
  Object.assign(one, { destroyed: true })
  one.emit('close')
  t.same([jobs.connection.size, jobs.kind.size], [0, 0])
})

t.test('what becomes of a connection while it is copied is what moves', async (t) => {
  const [before, after] = [new Jobs(0), new Jobs(0)]
  const one = socket('c')
  before.connection.open(one, null)
  const move = begin(before, after)
  move.serve(() => undefined)
  before.kind.open(one, { name: 'a job by now' })
  move.freeze().commit()
  t.same(after.names, ['a job by now'])
  t.equal(after.connection.size, 0)
})

t.test('what becomes a session after commit follows, while there are connections that may', async (t) => {
  const [before, after] = [new Jobs(0), new Jobs(0)]
  before.mayOpen = true
  const move = begin(before, after).serve().freeze().commit()
  const next = due(move.left)
  before.open('late')
  await next
  t.same(move.follow(), [])
  t.same(after.names, ['late'])
  t.equal(labelOf(after.sessions.kinds.get('job')?.entries.keys().next().value as Socket), 'late')
  after.open('new')
  t.equal(new Set([...after.kind.entries.values()].map(({ id }) => id)).size, 2, 'no id twice')
  before.mayOpen = false
  t.equal(move.left?.due(), undefined)
})

t.test(
  'a kind that says what has changed is asked while it is copied, and in the freeze where the answer may be another',
  async (t) => {
    let asked: string[] = []
    const lean = {
      precopy: { changes: 'touch' as const, update: () => undefined, forget: () => undefined },
      notNow: (_socket: Socket, { name, busy }: Job) => {
        asked.push(name)
        return busy
      },
    }
    class Lean extends Jobs {
      constructor(count: number) {
        super(count, { ...lean, ...({ onFreeze: undefined, onThaw: undefined } as object) })
      }
    }
    const [before, after] = [new Lean(5), new Lean(0)]
    before.job(2).busy = 'in the copy'
    const move = begin(before, after).serve()
    t.same(asked, ['j0', 'j1', 'j2', 'j3', 'j4'])
    asked = []
    before.kind.touch(before.at(1))
    before.job(1).busy = 'since'
    delete before.job(2).busy
    before.kind.hold(before.at(3), 'held')
    before.open('fresh')
    move.freeze()
    t.same(asked.sort(), ['fresh', 'j1', 'j2'])
    move.commit()
    t.same(before.names, ['j1', 'j3'])
    t.same(after.names.sort(), ['fresh', 'j0', 'j2', 'j4'])
  },
)
