import t from 'tap'
import { PHASES, type Phase } from '../../src/transfer/phases.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { endOf } from './peer.js'
import { COPIED, type Fails, FakeSink, isAborted, isActive, no, PATIENT, run, SHORT_MS, TO } from './sink.js'

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
