import t, { type Test } from 'tap'
import { binding } from '../../src/sys/binding.js'
import { PHASES, type Phase } from '../../src/transfer/phases.js'
import { Predecessor } from '../../src/transfer/predecessor.js'
import { type Ending, Refusal, type Source } from '../../src/transfer/types.js'
import { sealState } from '../../src/wire/envelope.js'
import { TRANSFER } from '../../src/wire/messages.js'
import type { SessionRecord } from '../../src/wire/session-record.js'
import { scaled, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { endOf, type Part, type Player, players } from './peer.js'

const BATCHES = 6
const PATIENT = { checkMs: scaled(20_000), freezeMs: scaled(20_000) }
/** For a peer that never answers: long enough for it to come to its last act. */
const SHORT_MS = scaled(700)

const { bytes, checksum } = sealState({ some: 'state' })

class FakeSource implements Source {
  handedOver = 0
  readonly file = binding().memfd('session')
  readonly fails: { states?: Error; sessionsAfter?: number; error?: Error }

  constructor(fails: FakeSource['fails'] = {}) {
    this.fails = fails
  }

  offer() {
    return {
      sessions: [{ name: 'chat', writes: [1], sessions: BATCHES }],
      states: [{ name: 'rooms', writes: [1], sessions: 0 }],
      descriptors: BATCHES,
    }
  }

  *captureStates() {
    if (this.fails.states) throw this.fails.states
    yield { name: 'rooms', bytes, checksum }
  }

  *captureSessions() {
    for (let index = 0; index < BATCHES; index++) {
      if (index === this.fails.sessionsAfter) throw this.fails.error
      yield { records: [[index + 1, 0, bytes, checksum, null] as SessionRecord], descriptors: [this.file] }
    }
  }

  handOver() {
    this.handedOver++
  }
}

interface Run {
  readonly ending: Ending
  readonly part: Part
  readonly peer: Player
  readonly source: FakeSource
  /** Whether the peer was dead at the instant of the ending. */
  readonly wasDead: boolean
}

const nextPlayer = players(t)

async function run(t: Test, acts: readonly string[], deadlines = PATIENT, source = new FakeSource()): Promise<Run> {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('successor', acts)
  let wasDead = false
  let endings = 0
  const ending = await within(
    new Promise<Ending>((resolve) => {
      const onEnding = (how: Ending): void => {
        endings++
        wasDead = peer.state === 'Z'
        resolve(how)
      }
      new Predecessor(part.link, part.fence, source, deadlines, onEnding).start()
    }),
    () => `the ending; the peer said:\n${part.lines().join('\n')}`,
  )
  t.equal(endings, 1, 'told once')
  t.equal(part.link.isOpen, false)
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  binding().close(source.file)
  return { ending, part, peer, source, wasDead }
}

const taken = (batches: number): string[] =>
  Array.from({ length: batches }, () => ['expect batch', 'send received']).flat()

/** How a peer comes to each phase of the predecessor. */
const TO: Record<string, string[]> = {
  check: ['expect offer'],
  // Four batches under way without an acknowledgement: now it waits.
  transfer: ['expect offer', 'send accept', 'expect state', ...Array.from({ length: 4 }, () => 'expect batch')],
  vote: ['expect offer', 'send accept', 'expect state', ...taken(BATCHES), 'expect manifest'],
}
TO['commit'] = [...TO['vote']!, 'send prepared', 'expect commit']

function notTaken(t: Test, { ending, source }: Run, reason: RegExp, outcome = 'failed'): void {
  t.equal(ending.outcome, outcome)
  t.equal(source.handedOver, 0, 'nothing is given up')
  if (ending.outcome !== 'refused' && ending.outcome !== 'failed') return
  t.equal(ending.reasons.length, 1)
  t.match(ending.reasons[0]!.reason, reason)
}

t.test('taken over', async (t) => {
  const { ending, source, wasDead } = await run(t, [...TO['commit']!, 'send active'])
  t.match(ending, { outcome: 'committed', moved: BATCHES })
  if (ending.outcome === 'committed')
    t.same(
      ending.phases.map(({ phase }) => phase),
      ['check', 'transfer', 'vote', 'commit'],
    )
  t.equal(source.handedOver, 1)
  t.notOk(wasDead, 'and nobody is killed')
})

for (const [phase, acts] of Object.entries(TO)) {
  const { on } = PHASES.predecessor[phase as 'check'] as Phase

  for (const kind of Object.keys(TRANSFER) as (keyof typeof TRANSFER)[]) {
    const step = on[kind]
    if (step !== undefined && step.to !== 'thawed') continue // the way to commit, tested above

    t.test(`${kind} in ${phase}`, async (t) => {
      const result = await run(t, [...acts, `send ${kind}`])
      if (step === undefined) notTaken(t, result, new RegExp(`"${kind}"|out of order`))
      else notTaken(t, result, /^the script says no$/, 'refused')
      t.equal(result.wasDead, (step ?? on['invalid'])!.fence === 'dead', 'the peer is dead where the table says so')
    })
  }

  const wrong: Record<string, [event: string, reason: RegExp, ...acts: string[]]> = {
    garbage: ['invalid', /does not begin with HNDO/, 'garbage'],
    'a sequence number too many': ['invalid', /sequence number is \d+, expected \d+/, 'gap', 'send refuse'],
    'an acknowledgement of nothing': ['invalid', /"received"|batch 77 out of order/, 'send received {"index":77}'],
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
      phase === 'check' ? { ...PATIENT, checkMs: SHORT_MS } : { ...PATIENT, freezeMs: SHORT_MS },
    )
    notTaken(t, result, /did not (answer|take)/)
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
  notTaken(t, result, /prepared for something else/)
  t.ok(result.wasDead, 'it may go on at our end of file, so it must not live')
})

t.test('a vote before every batch is acknowledged', async (t) => {
  const missing = [...TO['transfer']!.slice(0, -4), ...taken(BATCHES - 1), 'expect batch', 'expect manifest']
  notTaken(t, await run(t, [...missing, 'send prepared']), /prepared for something else/)
})

t.test('an acknowledgement of a batch that was not sent yet', async (t) => {
  const early = [
    'expect offer',
    'send accept',
    'expect state',
    ...taken(4),
    'send received {"index":4}',
    'send received {"index":5}',
    'send received {"index":6}',
  ]
  notTaken(t, await run(t, [...early]), /acknowledged batch \d out of order/)
})

t.test('an answer in a protocol that was not offered', async (t) => {
  notTaken(t, await run(t, ['expect offer', 'send accept {"protocol":2}']), /chose protocol 2, offered were 1 to 1/)
})

t.test('a state that cannot be captured: the successor is told, and nobody is killed', async (t) => {
  const refusal = new Refusal([{ kind: 'rooms', version: 1, reason: 'no', count: 1 }])
  const result = await run(
    t,
    ['expect offer', 'send accept', 'expect abort'],
    PATIENT,
    new FakeSource({ states: refusal }),
  )
  notTaken(t, result, /^no$/, 'refused')
  t.match(await result.part.said('heard abort'), /"reason":"no"/)
  t.notOk(result.wasDead)
})

t.test('sessions that cannot be captured, in the middle', async (t) => {
  const source = new FakeSource({ sessionsAfter: 2, error: new Error('x'.repeat(10_000)) })
  const result = await run(
    t,
    ['expect offer', 'send accept', 'expect state', ...taken(2), 'expect abort'],
    PATIENT,
    source,
  )
  notTaken(t, result, /^x+$/)
  await result.part.said('heard abort')
  if (result.ending.outcome === 'failed')
    t.equal(result.ending.reasons[0]!.reason.length, 4096, 'as long as a message may say')
})

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
    t.match(ending, { outcome: 'committed', moved: BATCHES })
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
