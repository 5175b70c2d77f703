/** A predecessor that commits together with others: what it does before the freeze, and between its vote and the commit of all. */
import t, { type Test } from 'tap'
import { Ballot, type Verdict } from '../../src/sys/ballot.js'
import type { Group } from '../../src/transfer/types.js'
import { FakeSource, FROZEN, MOVED, PATIENT, run, SHORT_MS, TO } from './source.js'

t.setTimeout(PATIENT.checkMs * 4)

const VOTED = [...TO['vote']!, 'send prepared']
const IMPATIENT = { ...PATIENT, freezeMs: SHORT_MS }

/** Others that are there as soon as this one is, and decide as it is told to. */
class FakeGroup implements Group {
  readonly ballot = Ballot.make()
  readonly said: string[] = []
  readonly #onVoted: (ballot: Ballot) => void
  readonly #may: (boolean | undefined)[]

  constructor(onVoted: (ballot: Ballot) => void, may: (boolean | undefined)[] = [true]) {
    this.#onVoted = onVoted
    this.#may = may
  }

  settled(): void {
    this.said.push('settled')
  }

  async mayFreeze(): Promise<boolean | undefined> {
    await new Promise((resolve) => setImmediate(resolve))
    return this.#may.shift()
  }

  voted(): void {
    this.said.push('voted')
    this.#onVoted(this.ballot)
  }
}

async function play(t: Test, acts: readonly string[], group: FakeGroup, deadlines = PATIENT) {
  // Before the descriptors are counted, and closed after.
  const played = await run(t, acts, deadlines, new FakeSource(), group)
  const { verdict } = group.ballot
  group.ballot.close()
  return { ...played, verdict }
}

const decide = (word: Verdict) => (ballot: Ballot) => {
  ballot.cast(word)
  ballot.ring()
}

t.test('all commit', async (t) => {
  const group = new FakeGroup(decide('commit'))
  const { ending, source } = await play(t, [...VOTED, 'expect commit', 'send active'], group)
  t.match(ending, { outcome: 'committed', moved: MOVED })
  t.same(group.said, ['settled', 'voted'])
  t.equal(source.handedOver, 1)
  if (ending.outcome === 'committed')
    t.same(
      ending.phases.map(({ phase }) => phase),
      ['check', 'copy', 'transfer', 'vote', 'agree', 'commit'],
    )
})

t.test('all abort: its successor is dead before anything is given back, and it has no reason of its own', async (t) => {
  const { ending, source, wasDead } = await play(t, VOTED, new FakeGroup(decide('abort')))
  t.match(ending, { outcome: 'failed', reasons: [] })
  if (ending.outcome === 'failed') t.equal(ending.reasons.length, 0)
  t.equal(source.handedOver, 0)
  t.ok(wasDead)
})

for (const [name, acts, onVoted, reason, deadlines] of [
  [
    'the supervisor ends',
    VOTED,
    (ballot: Ballot) => ballot.ring(),
    /supervisor ended before all workers had voted/,
    PATIENT,
  ],
  ['nobody decides in time', VOTED, () => undefined, /not all workers had voted in time \(phase agree\)/, IMPATIENT],
  ['its successor ends', [...VOTED, 'exit'], () => undefined, /closed its channel \(phase agree\)/, PATIENT],
  ['its successor says more', [...VOTED, 'send prepared'], () => undefined, /sent "prepared" after its vote/, PATIENT],
] as const) {
  t.test(`${name} while it waits: it casts against all, and thaws`, async (t) => {
    const { ending, source, wasDead, verdict } = await play(t, acts, new FakeGroup(onVoted), deadlines)
    t.equal(ending.outcome, 'failed')
    if (ending.outcome === 'failed') t.match(ending.reasons[0]?.reason, reason)
    t.equal(verdict, 'abort', 'no other one can commit')
    t.equal(source.handedOver, 0)
    if (acts.at(-1) !== 'exit') t.ok(wasDead)
  })
}

t.test(
  'its successor ends when all have decided to commit: it says so, thaws, and the others are not held up',
  async (t) => {
    const { ending, source, verdict } = await play(
      t,
      [...VOTED, 'exit'],
      new FakeGroup((ballot) => void ballot.cast('commit')),
    )
    t.equal(verdict, 'commit')
    t.equal(source.handedOver, 0)
    t.equal(ending.outcome, 'failed')
    if (ending.outcome === 'failed') {
      t.match(ending.reasons[0]?.reason, /phase commit/)
      t.ok(ending.phases.some(({ phase }) => phase === 'commit'))
    }
  },
)

t.test('until all have settled it goes on copying; the freeze comes when it may', async (t) => {
  const group = new FakeGroup(decide('commit'), [false, false, true])
  const { ending, source } = await play(t, [...VOTED, 'expect commit', 'send active'], group)
  t.equal(ending.outcome, 'committed')
  t.equal(source.agains, 2)
  t.same(group.said, ['settled', 'voted'], 'each is said once')
})

t.test('the supervisor ends before all have settled: nobody has paused, and the successor is told', async (t) => {
  const acts = [...FROZEN.slice(0, -2), 'expect abort']
  const { ending, wasDead } = await play(t, acts, new FakeGroup(decide('commit'), [false, undefined]))
  t.match(ending, { outcome: 'failed', pauseMs: null, reasons: [{ reason: /ended before all workers could freeze/ }] })
  t.notOk(wasDead)
})
