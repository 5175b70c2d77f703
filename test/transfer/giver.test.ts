/** The predecessor after commit, against a successor that follows a script: each event of the table in each phase. */
import t, { type Test } from 'tap'
import { binding } from '../../src/sys/binding.js'
import { Giver } from '../../src/transfer/giver.js'
import { FOLLOWING, type Phase } from '../../src/transfer/phases.js'
import type { Batch, FollowSource } from '../../src/transfer/types.js'
import type { RefusalFields } from '../../src/wire/fields.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { scaled, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { type Player, players } from './peer.js'

const PATIENT_MS = scaled(20_000)
const SHORT_MS = scaled(500)

class Left implements FollowSource {
  onStop: () => void = () => undefined
  readonly calls: string[] = []
  readonly file = binding().memfd('session')
  why = ''
  #batches: number
  #resolve: () => void = () => undefined
  readonly ended = new Promise<void>((resolve) => {
    this.#resolve = resolve
  })

  constructor(batches: number) {
    this.#batches = batches
  }

  next(): Batch | undefined {
    if (this.#batches-- <= 0) return undefined
    const [first, second] = [10, 11].map((id) => [id, 0, Buffer.from('x'), 0, null] as const)
    return { records: [first!, second!], descriptors: [this.file, this.file] }
  }

  /** More may come, though it does not. */
  due = (): Promise<void> => this.ended

  moved(refused: readonly RefusalFields[], pauseMs: number) {
    t.ok(pauseMs >= 0)
    this.calls.push(['moved', ...refused.map(({ id, reason }) => `but ${id}: ${reason}`)].join(' '))
  }

  keep(error: unknown) {
    this.calls.push(`kept: ${(error as Error).message}`)
  }

  end(why: string) {
    this.why = why
    this.calls.push('end')
    this.#resolve()
  }
}

const nextPlayer = players(t)

interface Run {
  readonly calls: string[]
  readonly why: string
  readonly peer: Player
  readonly lines: string[]
}

async function run(t: Test, acts: readonly string[], freezeMs = PATIENT_MS, source = new Left(1)): Promise<Run> {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('successor', acts)
  const giver = new Giver(part.link, source, freezeMs)
  part.link.start({
    onMessage: (message) => giver.onMessage(message),
    onEnd: (error) => giver.onEnd(error ? 'invalid' : 'eof', error?.message ?? 'the successor closed its channel'),
  })
  await giver.run()
  await within(source.ended, () => `the end; the peer said:\n${part.lines().join('\n')}`)
  t.equal(part.link.isOpen, false)
  part.fence.close()
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  binding().close(source.file)
  t.equal(source.calls.filter((call) => call === 'end').length, 1)
  return { calls: source.calls.slice(0, -1), why: source.why, peer, lines: part.lines() }
}

const BATCH = ['expect move', 'send held', 'take', 'send moved']

t.test('batches follow one another, until nothing is left', async (t) => {
  const source = new Left(3)
  source.due = () => undefined as never
  const { calls, why } = await run(t, [...BATCH, ...BATCH, ...BATCH, 'pass 50'], PATIENT_MS, source)
  t.same(calls, ['moved', 'moved', 'moved'])
  t.equal(why, 'everything had moved')
})

t.test('who is refused stays', async (t) => {
  const refused = 'send held {"refused":[{"id":11,"reason":"no"}]}'
  const { calls } = await run(t, ['expect move', refused, 'take', 'send moved', 'close'])
  t.same(calls, ['moved but 11: no'])
})

const TO: Record<string, string[]> = { give: ['expect move'], confirm: ['expect move', 'send held'] }

const WRONG: Record<string, [event: string, ...acts: string[]]> = {
  garbage: ['invalid', 'garbage'],
  'a sequence number too many': ['invalid', 'gap', 'send moved'],
  'end of file of a peer that lives': ['eof', 'close'],
  'the end of the peer': ['eof', 'exit'],
  silence: ['silence'],
  'a peer that is stopped': ['silence', 'stop'],
  'the word of another batch': ['invalid', 'send moved {"index":7}'],
  'the refusal of a session that is not in it': ['invalid', 'send held {"refused":[{"id":3,"reason":"no"}]}'],
}
for (const kind of Object.keys(TRANSFER)) WRONG[`"${kind}"`] = [kind, `send ${kind}`]

for (const [phase, acts] of Object.entries(TO)) {
  const { on } = FOLLOWING.predecessor[phase as 'give'] as Phase
  for (const [name, [event, ...last]] of Object.entries(WRONG)) {
    if (on[event] !== undefined && on[event].fence === undefined) continue // the good way
    const step = (on[event] ?? on['invalid'])!
    for (const takes of [false, true]) {
      t.test(`${name} in ${phase}, ${takes ? 'with' : 'without'} the token`, async (t) => {
        t.equal(step.to, 'kept')
        const freezeMs = event === 'silence' || takes ? SHORT_MS : PATIENT_MS
        const { calls, peer } = await run(t, [...acts, ...(takes ? ['take'] : []), ...last], freezeMs)
        t.equal(calls.length, 1)
        t.match(calls[0], takes ? /^moved$/ : /^kept: it had not followed when /)
        if (last[0] !== 'exit') t.not(peer.state, 'Z', 'nobody is killed')
        if (last[0] === 'stop') process.kill(peer.pid, 'SIGKILL')
      })
    }
  }
}

t.test('behind garbage, and after the token is gone, it hears still who was refused', async (t) => {
  const refused = 'send held {"refused":[{"id":10,"reason":"no"}]}'
  const { calls } = await run(t, ['expect move', 'take', 'garbage', 'gap', refused], SHORT_MS)
  t.same(calls, ['moved but 10: no'])
})

t.test('who was refused is known when the successor dies with the token', async (t) => {
  const refused = 'send held {"refused":[{"id":10,"reason":"no"}]}'
  t.same((await run(t, ['expect move', refused, 'take', 'exit'])).calls, ['moved but 10: no'])
})

for (const [name, acts, why] of [
  ['a message', ['send held'], /sent "held", which was not due/],
  ['garbage', ['garbage'], /HNDO/],
  ['the end', ['exit'], /closed its channel/],
] as const) {
  t.test(`between two batches, ${name}: nothing more moves`, async (t) => {
    const result = await run(t, [...BATCH, 'pass 50', ...acts])
    t.same(result.calls, ['moved'])
    t.match(result.why, why)
  })
}

t.test('when the time to drain is over the channel is closed', async (t) => {
  const source = new Left(1)
  setTimeout(() => source.onStop(), SHORT_MS)
  const { why, calls } = await run(t, BATCH, PATIENT_MS, source)
  t.same(calls, ['moved'])
  t.equal(why, 'the time to drain was over')
})

t.test('no descriptor to be had: the batch stays, and is tried again later', async (t) => {
  const source = new Left(2)
  const { socketpair } = binding()
  const next = source.next.bind(source)
  let isFirst = true
  source.next = () => {
    if (isFirst)
      binding().socketpair = () => {
        binding().socketpair = socketpair
        throw new Error('EMFILE')
      }
    isFirst = false
    return next()
  }
  const { calls } = await run(t, [...BATCH, 'close'], PATIENT_MS, source)
  t.same(calls, ['kept: EMFILE', 'moved'])
})
