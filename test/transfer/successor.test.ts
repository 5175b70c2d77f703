import t, { type Test } from 'tap'
import { closeAll } from '../../src/sys/channel.js'
import { PHASES, type Phase } from '../../src/transfer/phases.js'
import { Successor } from '../../src/transfer/successor.js'
import {
  type Accept,
  type Choice,
  type Ending,
  type FollowSink,
  type Offer,
  Refusal,
  type Sink,
} from '../../src/transfer/types.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { scaled, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { endOf, type Part, type Player, players } from './peer.js'

const PATIENT = { checkMs: scaled(20_000), freezeMs: scaled(10_000), drainMs: scaled(20_000) }
const SHORT_MS = scaled(300)

type Asked = 'choose' | 'restoreState' | 'adopt' | 'update' | 'forget' | 'complete'
type Fails = Partial<Record<Asked, (call: number) => void>>

class FakeSink implements Sink {
  readonly calls: string[] = []
  frozenAtMs = 0
  readonly #held: number[] = []
  readonly #fails: Fails

  constructor(fails: Fails = {}) {
    this.#fails = fails
  }

  choose(offer: Offer): Accept {
    this.#called('choose')
    const newest = ({ name, writes }: Offer['sessions'][number]) => ({ name, version: writes[0]! })
    return { sessions: offer.sessions.map(newest), states: offer.states.map(newest) }
  }

  restoreState() {
    this.#called('restoreState')
  }

  adopt(_choice: unknown, _record: unknown, descriptor: number) {
    this.#held.push(descriptor)
    this.#called('adopt')
  }

  update() {
    this.#called('update')
  }

  forget() {
    this.#called('forget')
  }

  complete(_nextId: number) {
    this.#called('complete')
  }

  activate(frozenAtMs: number) {
    this.calls.push('activate')
    this.frozenAtMs = frozenAtMs
    closeAll(this.#held.splice(0))
    return { sessions: this.count('adopt'), pauseMs: null }
  }

  discard() {
    this.calls.push('discard')
    closeAll(this.#held.splice(0))
  }

  follow(_choiceOf: (kind: number) => Choice | undefined): FollowSink {
    throw new Error('nothing follows here')
  }

  count(name: string): number {
    return this.calls.filter((call) => call === name).length
  }

  #called(name: Asked): void {
    this.calls.push(name)
    this.#fails[name]?.(this.count(name))
  }
}

interface Run {
  readonly ending: Ending
  readonly part: Part
  readonly peer: Player
  readonly sink: FakeSink
  /** Whether the peer was dead at the instant of the ending. */
  readonly wasDead: boolean
}

const nextPlayer = players(t)

async function run(t: Test, acts: readonly string[], deadlines = PATIENT, sink = new FakeSink()): Promise<Run> {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('predecessor', acts)
  let wasDead = false
  let endings = 0
  const ending = await within(
    new Promise<Ending>((resolve) => {
      const onEnding = (how: Ending): void => {
        endings++
        wasDead = ['Z', undefined].includes(peer.state)
        resolve(how)
      }
      new Successor(part.link, part.fence, sink, deadlines, onEnding).start()
    }),
    () => `the ending; the peer said:\n${part.lines().join('\n')}`,
  )
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(endings, 1, 'told once')
  t.equal(part.link.isOpen, false)
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  return { ending, part, peer, sink, wasDead }
}

/** How a peer brings the successor into each phase. */
const TO: Record<string, string[]> = { check: [], copy: ['send offer', 'expect accept'] }
const COPIED = [...TO['copy']!, 'send state', 'send batch', 'expect received']
TO['transfer'] = [...TO['copy']!, 'send freeze']
TO['vote'] = [...COPIED, 'send freeze', 'send update', 'expect received', 'send manifest', 'expect prepared']

function isActive(t: Test, { ending, sink }: Run): void {
  t.match(ending, { outcome: 'active' })
  t.same([sink.count('activate'), sink.count('discard')], [1, 0])
}

function isAborted(t: Test, { ending, sink }: Run, reason: RegExp, outcome = 'failed'): void {
  t.equal(ending.outcome, outcome)
  t.same([sink.count('activate'), sink.count('discard')], [0, 1], 'nothing is begun, all is closed')
  if (ending.outcome === 'refused' || ending.outcome === 'failed') t.match(ending.reasons[0]?.reason, reason)
}

t.test('taken over: everything is built, "active" is said, then it begins', async (t) => {
  const result = await run(t, [
    ...TO['copy']!,
    'send state',
    'batch 128 0',
    'expect received',
    'send update',
    'expect received',
    'batch 3 0',
    'expect received',
    'send gone',
    'expect received',
    'send freeze {"frozenAtMs":1234.5}',
    'send state',
    'batch 2 0',
    'expect received',
    'send update {"changes":[[2,null,0,null],[3,null,0,null]]}',
    'expect received',
    'send gone {"ids":[2,3]}',
    'expect received',
    'send manifest',
    'expect prepared',
    'send commit',
    'expect active',
  ])
  isActive(t, result)
  t.match(result.ending, { sessions: 133 })
  const { sink } = result
  t.same(
    sink.calls.filter((call, index) => call !== sink.calls[index - 1]),
    [
      ...['choose', 'restoreState', 'adopt', 'update', 'adopt', 'forget'],
      ...['restoreState', 'adopt', 'update', 'forget', 'complete', 'activate'],
    ],
    'in the order it came; and nothing begins before all is complete',
  )
  t.same([sink.count('adopt'), sink.count('update'), sink.count('forget')], [133, 3, 3])
  t.equal(sink.frozenAtMs, 1234.5)
  await result.part.said('heard active')
  t.notOk(result.wasDead)
})

t.test('a transfer of nothing', async (t) => {
  const empty = '{"sessions":[],"states":[],"descriptors":0}'
  isActive(
    t,
    await run(t, [
      `send offer ${empty}`,
      'expect accept',
      'send freeze',
      'send manifest',
      'expect prepared',
      'send commit',
      'expect active',
    ]),
  )
})

for (const [phase, acts] of Object.entries(TO)) {
  const { on } = PHASES.successor[phase as 'check'] as Phase

  for (const kind of Object.keys(TRANSFER) as (keyof typeof TRANSFER)[]) {
    const step = on[kind]
    if (step !== undefined && !['active', 'aborted'].includes(step.to)) continue // the way to active, tested above

    t.test(`${kind} in ${phase}`, async (t) => {
      const result = await run(t, [...acts, `send ${kind}`])
      if (step?.to === 'active') isActive(t, result)
      else isAborted(t, result, step === undefined ? new RegExp(`"${kind}"`) : /^the script says no$/)
      t.notOk(result.wasDead, 'whoever speaks is not killed')
    })
  }

  const wrong: Record<string, [event: string, reason: RegExp, ...acts: string[]]> = {
    garbage: ['invalid', /does not begin with HNDO/, 'garbage'],
    'a sequence number too many': ['invalid', /sequence number is \d+, expected \d+/, 'gap', 'send commit'],
    'end of file of a peer that lives': ['eof', /closed its channel/, 'close'],
    'the end of the peer': ['eof', /closed its channel/, 'exit'],
    silence: ['silence', /was silent for \d+ ms in phase/],
  }
  for (const [name, [event, reason, ...last]] of Object.entries(wrong)) {
    t.test(`${name} in ${phase}`, async (t) => {
      const deadlines = event === 'silence' ? { ...PATIENT, checkMs: SHORT_MS * 2, freezeMs: SHORT_MS } : PATIENT
      const step = on[event]!
      const result = await run(t, [...acts, ...last], deadlines)
      if (step.to === 'active') isActive(t, result)
      else isAborted(t, result, reason)
      if (last[0] !== 'exit') t.equal(result.wasDead, step.fence === 'dead', 'the peer is dead where the table says so')
      if (step.fence === 'dead' && last[0] !== 'exit')
        t.same(await endOf(result.peer), { code: null, signal: 'SIGKILL' })
    })
  }
}

t.test(
  'a predecessor that is stopped, not dead, after the manifest is killed before the first byte is read',
  async (t) => {
    const result = await run(t, [...TO['vote']!, 'stop'], { ...PATIENT, freezeMs: SHORT_MS })
    isActive(t, result)
    t.ok(result.wasDead)
  },
)

t.test('"commit" behind the end of file counts', async (t) => {
  isActive(t, await run(t, [...TO['vote']!, 'send commit', 'exit']))
})

t.test('"commit" of a predecessor that has taken the token: waits for its death, kills nobody', async (t) => {
  const result = await run(t, [...TO['vote']!, 'claim', 'send commit', 'pass 50', 'exit'])
  isActive(t, result)
  t.ok(result.wasDead, 'not before')
  t.same(await endOf(result.peer), { code: 0, signal: null })
})

/** Keeps the successor in a turn of its own while the peer says all it has to say. */
const busy = { restoreState: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SHORT_MS * 3) }
const ALL_AT_ONCE = [...TO['transfer']!, 'send state', 'send batch', 'send manifest', 'send commit']

t.test('"active" that cannot be said, to a predecessor that lives: it must not', async (t) => {
  const result = await run(t, [...ALL_AT_ONCE, 'close'], PATIENT, new FakeSink(busy))
  isActive(t, result)
  t.equal(result.wasDead, true)
})

t.test('a deadline that passes during a long turn of the application is not the silence of the peer', async (t) => {
  // Not in a message's own turn: the loop looks at timers before it looks at the channel.
  const choose = (): void => void setImmediate(busy.restoreState)
  const acts = [...ALL_AT_ONCE, 'expect received', 'expect prepared', 'expect active']
  isActive(t, await run(t, acts, { ...PATIENT, freezeMs: SHORT_MS }, new FakeSink({ choose })))
})

const MISMATCHES: Record<string, [reason: RegExp, ...acts: string[]]> = {
  'a manifest with other sessions': [/manifest names 9 sessions/, 'send manifest {"sessions":9}'],
  'a manifest with other parts': [/manifest names/, 'send manifest {"parts":2}'],
  'a manifest with other states': [/manifest names/, 'send manifest {"states":2}'],
  'a manifest with another digest': [/digest 7;/, 'send manifest {"digest":7}'],
  'a manifest that does not count the last state': [/manifest names/, 'send state', 'send manifest {"states":1}'],
  'a manifest of before the last change': [
    /manifest names/,
    'send update',
    'expect received',
    'send manifest {"digest":0}',
  ],
}

for (const [name, [reason, ...acts]] of Object.entries(MISMATCHES)) {
  t.test(name, async (t) => {
    const result = await run(t, [...COPIED, 'send freeze', ...acts])
    isAborted(t, result, reason)
    t.equal(result.sink.count('complete'), 0)
  })
}

t.test('a state that was agreed and never came', async (t) => {
  const acts = [...TO['transfer']!, 'send batch', 'expect received', 'send manifest']
  isAborted(t, await run(t, acts), /0 of 1 agreed/)
})

const OUT_OF_ORDER: Record<string, [reason: RegExp, ...acts: string[]]> = {
  'a state that was not agreed': [/"secrets", which was not agreed/, 'send state {"name":"secrets"}'],
  'a batch out of order': [/part 2 came where 1 was due/, 'send batch {"index":2}'],
  'a batch again': [/part 0 came where 1 was due/, 'send batch {"index":0}'],
  'an update out of order': [/part 2 came where 1 was due/, 'send update {"index":2}'],
  'an end out of order': [/part 0 came where 1 was due/, 'send gone {"index":0}'],
  'a change of a session that never came': [
    /session 9 changed before it came/,
    'send update {"changes":[[9,null,0,null]]}',
  ],
  'an end of a session that never came': [/session 9 ended before it came/, 'send gone {"ids":[9]}'],
  'an end that comes twice': [/session 1 ended before it came/, 'send gone', 'expect received', 'send gone'],
  'a change of a session that has ended': [
    /session 1 changed before it came/,
    'send gone',
    'expect received',
    'send update',
  ],
  'a session that comes twice': [/session 1 came twice/, 'again'],
}

for (const [name, [reason, ...acts]] of Object.entries(OUT_OF_ORDER)) {
  for (const then of [[], ['send freeze']]) {
    t.test(`${name}, in ${then.length === 0 ? 'copy' : 'transfer'}`, async (t) => {
      isAborted(t, await run(t, [...COPIED, ...then, ...acts]), reason)
    })
  }
}

t.test('a session may end and a new one have its id', async (t) => {
  const result = await run(t, [...COPIED, 'send gone', 'expect received', 'again', 'expect received', 'exit'])
  t.same([result.sink.count('adopt'), result.sink.count('forget')], [2, 1])
})

t.test('an offer in a protocol this side does not speak: refused with both ranges', async (t) => {
  const result = await run(t, ['send offer {"protocol":{"min":7,"max":9}}', 'expect refuse'])
  isAborted(t, result, /speaks transfer protocol 7 to 9, the successor 1 to 1/, 'refused')
  t.match(await result.part.said('heard refuse'), /speaks transfer protocol 7 to 9/)
  t.same(result.sink.calls, ['discard'])
})

t.test('an offer in a range that has one version in common', async (t) => {
  const result = await run(t, ['send offer {"protocol":{"min":1,"max":99}}', 'expect accept', 'exit'])
  t.match(await result.part.said('heard accept'), /"protocol":1,/)
})

const no = (what: string) => (): never => {
  throw new Refusal([{ kind: 'chat', version: 1, reason: what, count: 1 }])
}

t.test('what the sink refuses is told, word by word', async (t) => {
  const cases: [Fails, ...string[]][] = [
    [{ choose: no('will not') }, 'send offer'],
    [{ restoreState: no('will not') }, ...TO['copy']!, 'send state'],
    [{ adopt: no('will not') }, ...TO['copy']!, 'send state', 'send batch'],
    [{ update: no('will not') }, ...COPIED, 'send update'],
    [{ forget: no('will not') }, ...COPIED, 'send gone'],
    [{ restoreState: no('will not') }, ...TO['transfer']!, 'send state'],
    [{ adopt: no('will not') }, ...TO['transfer']!, 'send state', 'send batch'],
    [{ update: no('will not') }, ...COPIED, 'send freeze', 'send update'],
    [{ forget: no('will not') }, ...COPIED, 'send freeze', 'send gone'],
    [{ complete: no('will not') }, ...COPIED, 'send freeze', 'send manifest'],
  ]
  for (const [fails, ...acts] of cases) {
    const result = await run(t, [...acts, 'expect refuse'], PATIENT, new FakeSink(fails))
    isAborted(t, result, /^will not$/, 'refused')
    t.match(await result.part.said('heard refuse'), /"reason":"will not".*"kind":"chat"/)
    t.notOk(result.wasDead)
  }
})

t.test('an error of the sink that is no refusal is told too', async (t) => {
  const result = await run(
    t,
    ['send offer', 'expect refuse'],
    PATIENT,
    new FakeSink({
      choose: () => {
        throw new TypeError('a bug of ours')
      },
    }),
  )
  isAborted(t, result, /^a bug of ours$/, 'refused')
})

t.test('a whole batch is tried; the same reason is counted, and twenty are told word by word', async (t) => {
  const adopt = (call: number): void => no(call <= 50 ? 'same' : `other ${call}`)()
  const result = await run(t, [...TO['copy']!, 'batch 100 0', 'expect refuse'], PATIENT, new FakeSink({ adopt }))
  isAborted(t, result, /^same$/, 'refused')
  if (result.ending.outcome !== 'refused') return
  t.equal(result.ending.reasons.length, 20)
  t.equal(
    result.ending.reasons.reduce((sum, { count }) => sum + count, 0),
    100,
  )
  t.equal(result.sink.count('adopt'), 100)
})

t.test('sessions of a kind that was not offered are refused, and their descriptors closed', async (t) => {
  const result = await run(t, [...TO['copy']!, 'batch 3 7', 'expect refuse'])
  isAborted(t, result, /kind 7 were not agreed/, 'refused')
  t.equal(result.sink.count('adopt'), 0)
})

const BEST_EFFORT = { ...PATIENT, policy: 'best-effort' as const }
const FOLLOWS = ['send offer {"follows":true}', 'expect accept']

t.test('best effort: who cannot be taken is named, nothing of it is left, and the others go on', async (t) => {
  // The second of the first batch, then the first change.
  const fails: Fails = {
    adopt: (call) => (call === 2 ? no('not this one')() : undefined),
    update: (call) => (call === 1 ? no('nor this one')() : undefined),
  }
  const update = 'send update {"changes":[[1,null,0,null],[2,null,0,null],[3,null,0,null]]}'
  const acts = [
    ...[...FOLLOWS, 'send state', 'batch 3 0', 'expect received', update, 'expect received'],
    ...['send gone {"ids":[1]}', 'expect received', 'batch 1 0', 'expect received', 'exit'],
  ]
  const { sink, part } = await run(t, acts, BEST_EFFORT, new FakeSink(fails))
  const heard = part.lines().filter((line) => line.startsWith('heard received'))
  t.match(heard, [
    '"refused":[{"id":2,"reason":"not this one","kind":"chat","version":1}]',
    '"refused":[{"id":1,"reason":"nor this one","kind":"chat","version":1}]',
    '{"index":2}',
    '{"index":3}',
  ])
  t.same([sink.count('adopt'), sink.count('forget')], [4, 3], 'it is told of the end of what it could not take')
})

t.test('single sessions are refused only where both have agreed on it', async (t) => {
  const fails: Fails = { adopt: no('not this one') }
  const batch = ['send state', 'batch 1 0', 'expect refuse']
  isAborted(t, await run(t, [...FOLLOWS, ...batch], PATIENT, new FakeSink(fails)), /^not this one$/, 'refused')
  isAborted(t, await run(t, [...TO['copy']!, ...batch], BEST_EFFORT, new FakeSink(fails)), /^not this one$/, 'refused')
})

t.test('best effort: shared state, and what was not agreed, refuse all the same', async (t) => {
  const state = new FakeSink({ restoreState: no('not this state') })
  isAborted(t, await run(t, [...FOLLOWS, 'send state', 'expect refuse'], BEST_EFFORT, state), /^not this/, 'refused')
  const other = [...FOLLOWS, 'batch 1 7', 'expect refuse']
  isAborted(t, await run(t, other, BEST_EFFORT), /kind 7 were not agreed/, 'refused')
})

t.test('what follows comes on the same channel, and ends with it', async (t) => {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('predecessor', [
    ...[...FOLLOWS, 'send state', 'batch 1 0', 'expect received', 'send freeze', 'send manifest {"nextId":9}'],
    ...['expect prepared', 'send commit', 'expect active', 'move 2 0', 'expect held', 'expect moved', 'move 1 9'],
    ...['expect held', 'expect moved', 'close'],
  ])
  const told: string[] = []
  const sink = new FakeSink()
  sink.complete = (...ids: unknown[]) => void told.push(`ids from ${ids}`)
  const over = new Promise<void>((resolve) => {
    sink.follow = (choiceOf) => ({
      take: (records, descriptors) => {
        told.push(`take ${records.map(([, kind]) => choiceOf(kind)?.name)}`)
        closeAll(descriptors)
        return []
      },
      release: () => void told.push('release'),
      discard: () => void told.push('discard'),
      close: resolve,
    })
  })
  const ending = await within(
    new Promise<Ending>((resolve) => {
      new Successor(part.link, part.fence, sink, PATIENT, resolve).start()
      part.link.ref()
    }),
    'the ending',
  )
  t.match(ending, { outcome: 'active', sessions: 1 })
  part.link.ref()
  await within(over, 'the end of what follows')
  t.same(told, ['ids from 9', 'take chat,chat', 'release', 'take ', 'release'])
  t.equal(part.link.isOpen, false)
  t.ok(openDescriptors() <= before)
})
