import t from 'tap'
import { PHASES, type Phase } from '../../src/transfer/phases.js'
import { Refusal } from '../../src/transfer/types.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { scaled } from '../harness/timeout.js'
import { endOf } from './peer.js'
import {
  AGREED,
  BATCHES,
  COPIED,
  FakeSource,
  FROZEN,
  MOVED,
  notTaken,
  PATIENT,
  REST,
  run,
  SHORT_MS,
  TO,
  taken,
} from './source.js'

t.test('taken over', async (t) => {
  const { ending, source, wasDead } = await run(t, [...TO['commit']!, 'send active'])
  t.match(ending, { outcome: 'committed', moved: MOVED })
  if (ending.outcome === 'committed')
    t.same(
      ending.phases.map(({ phase }) => phase),
      ['check', 'copy', 'transfer', 'vote', 'commit'],
    )
  t.same([source.ended, source.handedOver], [1, 1])
  t.notOk(wasDead, 'and nobody is killed')
})

for (const [phase, acts] of Object.entries(TO)) {
  const { on } = PHASES.predecessor[phase as 'check'] as Phase

  for (const kind of Object.keys(TRANSFER) as (keyof typeof TRANSFER)[]) {
    const step = on[kind]
    if (step !== undefined && step.to !== 'thawed') continue // the way to commit, tested above

    t.test(`${kind} in ${phase}`, async (t) => {
      const result = await run(t, [...acts, `send ${kind}`])
      if (step === undefined) notTaken(t, result, new RegExp(`"${kind}"`))
      else notTaken(t, result, /^the script says no$/, 'refused')
      t.equal(result.wasDead, (step ?? on['invalid'])!.fence === 'dead', 'the peer is dead where the table says so')
    })
  }

  const wrong: Record<string, [event: string, reason: RegExp, ...acts: string[]]> = {
    garbage: ['invalid', /does not begin with HNDO/, 'garbage'],
    'a sequence number too many': ['invalid', /sequence number is \d+, expected \d+/, 'gap', 'send refuse'],
    'an acknowledgement of nothing': ['invalid', /"received"/, 'send received {"index":77}'],
    'end of file of a peer that lives': ['eof', /closed its channel/, 'close'],
    'the end of the peer': ['eof', /closed its channel/, 'exit'],
  }
  for (const [name, [event, reason, ...last]] of Object.entries(wrong)) {
    t.test(`${name} in ${phase}`, async (t) => {
      const result = await run(t, [...acts, ...last])
      notTaken(t, result, reason)
      if (last[0] !== 'exit') t.equal(result.wasDead, on[event]!.fence === 'dead')
    })
  }

  t.test(`silence in ${phase}`, async (t) => {
    const result = await run(
      t,
      acts,
      ['check', 'copy'].includes(phase) ? { ...PATIENT, checkMs: SHORT_MS } : { ...PATIENT, freezeMs: SHORT_MS },
    )
    notTaken(t, result, /did not (answer|take)|was silent for \d+ ms/)
    t.equal(result.wasDead, on['silence']!.fence === 'dead')
    if (on['silence']!.fence) t.same(await endOf(result.peer), { code: null, signal: 'SIGKILL' })
  })
}

t.test('a peer that is stopped, not dead, is killed before anything is given back', async (t) => {
  const result = await run(t, [...TO['vote']!, 'stop'], { ...PATIENT, freezeMs: SHORT_MS })
  notTaken(t, result, /did not answer in time/)
  t.ok(result.wasDead)
})

t.test('a vote for something else than was sent', async (t) => {
  const result = await run(t, [...TO['vote']!, 'send prepared {"digest":1}'])
  notTaken(t, result, /"prepared" in phase vote, where it was not due/)
  t.ok(result.wasDead, 'it may go on at our end of file, so it must not live')
})

t.test('a vote before every part is acknowledged', async (t) => {
  const missing = [...FROZEN, ...taken(REST.slice(0, -1)), 'expect batch', 'expect manifest']
  notTaken(t, await run(t, [...missing, 'send prepared']), /"prepared" in phase vote, where it was not due/)
})

t.test('an acknowledgement of a part that was not sent yet', async (t) => {
  const parts = COPIED + REST.length
  const early = Array.from({ length: parts + 1 }, (_, index) => `send received {"index":${index}}`)
  notTaken(t, await run(t, [...TO['copy']!, ...early]), /"received" in phase \w+, where it was not due/)
})

t.test('acknowledgements out of order', async (t) => {
  notTaken(t, await run(t, [...TO['copy']!, 'send received {"index":1}']), /"received" in phase copy/)
  const twice = [...TO['transfer']!, ...Array.from({ length: 2 }, () => `send received {"index":${COPIED}}`)]
  notTaken(t, await run(t, twice), /"received" in phase transfer/)
})

t.test('nobody is frozen while the successor is still building', async (t) => {
  const [last, ...first] = taken(BATCHES).reverse()
  const acts = [
    ...AGREED,
    ...first.reverse(),
    `pass ${SHORT_MS}`,
    last!,
    'expect freeze',
    'expect state',
    'send refuse',
  ]
  const { ending } = await run(t, acts)
  t.equal(ending.outcome, 'refused')
  if (ending.outcome === 'refused') t.ok((ending.pauseMs?.max ?? SHORT_MS) < SHORT_MS, `${ending.pauseMs?.max} ms`)
})

t.test('it serves while it copies: its event loop turns, until the freeze', async (t) => {
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  const { ending } = await run(t, [...TO['copy']!, `pass ${SHORT_MS}`, 'send refuse'])
  clearInterval(counting)
  t.equal(ending.outcome, 'refused')
  t.ok(turns > 10, `${turns} turns`)
  t.match(ending, { pauseMs: null }, 'and nobody has paused')
})

t.test('an answer in a protocol that was not offered', async (t) => {
  notTaken(t, await run(t, ['expect offer', 'send accept {"protocol":2}']), /chose protocol 2, offered were 1 to 1/)
})

const COPYING = [...AGREED, ...taken(['batch', 'batch'])]
const no = new Refusal([{ kind: 'rooms', version: 1, reason: 'no', count: 1 }])

for (const [name, at, ...acts] of [
  ['a copy that cannot begin', 'copy', 'expect offer', 'send accept'],
  ['a state that cannot be captured', 'states', 'expect offer', 'send accept'],
  ['a session that cannot be captured, in the middle of the copy', 'next', ...COPYING],
  ['a state that cannot be captured in the freeze', 'freeze', ...FROZEN.slice(0, -1)],
  ['a session that cannot be captured in the freeze', 'rest', ...FROZEN, ...taken(['batch'])],
] as const) {
  t.test(`${name}: the successor is told, and nobody is killed`, async (t) => {
    const refused = await run(t, [...acts, 'expect abort'], PATIENT, new FakeSource({ at, error: no }))
    notTaken(t, refused, /^no$/, 'refused')
    t.match(await refused.part.said('heard abort'), /"reason":"no"/)
    t.notOk(refused.wasDead)
    const frozen = at === 'freeze' || at === 'rest'
    if (refused.ending.outcome === 'refused') t.equal(refused.ending.pauseMs !== null, frozen, 'a pause is told')

    const failed = await run(
      t,
      [...acts, 'expect abort'],
      PATIENT,
      new FakeSource({ at, error: new Error('x'.repeat(10_000)) }),
    )
    notTaken(t, failed, /^x+$/)
    if (failed.ending.outcome === 'failed')
      t.equal(failed.ending.reasons[0]!.reason.length, 4096, 'as long as a message may say')
  })
}

t.test('a refusal with a reason as long as a book is cut to what a message may say', async (t) => {
  const reason = { reason: 'y'.repeat(10_000), count: 1 }
  t.equal(new Refusal([reason]).reasons[0]!.reason.length, 4096)
})

/** The successor has the token when the deadline of commit passes: whatever comes next is its word. */
const YIELDED = [...TO['commit']!, 'claim', `pass ${SHORT_MS + scaled(300)}`]
const IMPATIENT = { ...PATIENT, freezeMs: SHORT_MS }

for (const [name, ...last] of [
  ['active comes after the deadline, from a successor that took the token', 'send active'],
  ['the same, with something that is no message before it', 'garbage', 'gap', 'send active'],
] as const) {
  t.test(name, async (t) => {
    const { ending, source, part, wasDead } = await run(t, [...YIELDED, ...last], IMPATIENT)
    await part.said('claimed')
    t.match(ending, { outcome: 'committed', moved: MOVED })
    if (ending.outcome === 'committed') t.equal(ending.phases.at(-1)?.phase, 'yield', 'it had yielded')
    t.equal(source.handedOver, 1)
    t.notOk(wasDead, 'who may have read a byte is not killed')
  })
}

t.test('a successor that took the token and ends without a word has read nothing', async (t) => {
  notTaken(t, await run(t, [...YIELDED, 'exit'], IMPATIENT), /closed its channel/)
  notTaken(t, await run(t, [...TO['commit']!, 'claim', 'exit']), /closed its channel/)
})

t.test('a successor that ends right after active has taken it all the same', async (t) => {
  const { ending, source } = await run(t, [...TO['commit']!, 'claim', 'send active', 'exit'])
  t.equal(ending.outcome, 'committed')
  t.equal(source.handedOver, 1)
})

/** An app that once keeps the event loop for longer than `checkMs`, in which the successor's words come in. */
class BusySource extends FakeSource {
  readonly #phase: 'check' | 'copy'
  #parts = 0

  constructor(phase: 'check' | 'copy') {
    super()
    this.#phase = phase
  }

  override offer() {
    if (this.#phase === 'check') this.#block()
    return super.offer()
  }

  override next() {
    if (this.#phase === 'copy' && ++this.#parts === 4) this.#block()
    return super.next()
  }

  #block(): void {
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SHORT_MS * 2))
  }
}

// Four parts are under way, and it waits, serving, for the first acknowledgement.
const [RECEIVED, ...REMAINING] = [
  Array.from({ length: 4 }, (_, index) => `send received {"index":${index}}`),
  ...taken(BATCHES.slice(4)),
] as const

for (const [phase, ...acts] of [
  ['check', ...TO['commit']!, 'send active'],
  [
    'copy',
    ...TO['copy']!,
    ...RECEIVED,
    ...REMAINING,
    ...TO['commit']!.slice(AGREED.length + taken(BATCHES).length),
    'send active',
  ],
] as const) {
  t.test(`a turn of the app longer than the deadline in ${phase}: what came meanwhile is no silence`, async (t) => {
    const { ending } = await run(t, acts, { ...PATIENT, checkMs: SHORT_MS }, new BusySource(phase))
    t.match(ending, { outcome: 'committed', moved: MOVED })
  })
}
