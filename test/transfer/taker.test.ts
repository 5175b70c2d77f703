/** The successor after commit, against a predecessor that follows a script. */
import t, { type Test } from 'tap'
import { closeAll } from '../../src/sys/channel.js'
import { Taker } from '../../src/transfer/taker.js'
import type { FollowSink } from '../../src/transfer/types.js'
import { TRANSFER } from '../../src/wire/messages.js'
import type { SessionRecord } from '../../src/wire/session-record.js'
import { scaled, until, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { players } from './peer.js'

const PATIENT_MS = scaled(20_000)
const SHORT_MS = scaled(500)

interface Wishes {
  /** This one is refused. */
  readonly refuses?: number
  /** Until the predecessor has said so. */
  readonly waitsFor?: string
}

class Sink implements FollowSink {
  readonly calls: string[] = []
  readonly #wishes: Wishes
  lines: () => string[] = () => []
  #close: () => void = () => undefined
  readonly closed = new Promise<void>((resolve) => {
    this.#close = resolve
  })

  constructor(wishes: Wishes) {
    this.#wishes = wishes
  }

  take(records: readonly SessionRecord[], descriptors: readonly number[]) {
    this.calls.push(`take ${records.length}`)
    t.equal(descriptors.length, records.length, 'the token is not among them')
    closeAll(descriptors)
    const { refuses, waitsFor } = this.#wishes
    if (waitsFor !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SHORT_MS)
    return refuses === undefined ? [] : [{ id: refuses, reason: 'no' }]
  }

  release = (): void => void this.calls.push('release')
  discard = (): void => void this.calls.push('discard')
  close(): void {
    this.calls.push('close')
    this.#close()
  }
}

const nextPlayer = players(t)

async function run(
  t: Test,
  acts: readonly string[],
  wishes: Wishes = {},
  withinMs = PATIENT_MS,
  between: (taker: Taker, lines: () => string[]) => Promise<void> = async () => undefined,
) {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('predecessor', acts)
  const sink = new Sink(wishes)
  const taker = new Taker(part.link, sink, withinMs)
  part.link.start({
    onMessage: (message) => taker.onMessage(message),
    onEnd: (error) => taker.onEnd(error ? 'invalid' : 'eof'),
  })
  part.link.ref()
  await between(taker, part.lines)
  await within(sink.closed, () => `the end; the peer said:\n${part.lines().join('\n')}`)
  t.equal(part.link.isOpen, false)
  part.fence.close()
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  return { calls: sink.calls, part, peer }
}

const TAKEN = ['expect held', 'expect moved']

t.test('batches, until the predecessor closes the channel', async (t) => {
  const { calls } = await run(t, ['move 3 0', ...TAKEN, 'move 16 0', ...TAKEN, 'take', 'close'])
  t.same(calls, ['take 3', 'release', 'take 16', 'release', 'close'])
})

t.test('it has the token before it says "moved"', async (t) => {
  const { part } = await run(t, ['move 3 0', ...TAKEN, 'take', 'close'])
  t.equal(await part.said('no batch'), 'no batch')
})

t.test('who is refused is said before', async (t) => {
  const { calls, part } = await run(t, ['move 3 0', ...TAKEN, 'close'], { refuses: 2 })
  t.match(await part.said('heard held'), /"refused":\[\{"id":2,"reason":"no"\}\]/)
  t.same(calls, ['take 3', 'release', 'close'])
})

t.test('without the token nothing is read: the predecessor has it back', async (t) => {
  const { calls, part } = await run(t, ['move 3 0', 'take', 'expect held'], { waitsFor: 'took' })
  t.equal(await part.said('took the batch'), 'took the batch')
  t.same(calls, ['take 3', 'discard', 'close'])
})

t.test('a predecessor that is gone: the batch goes on here', async (t) => {
  const { calls } = await run(t, ['move 3 0', 'exit'], { waitsFor: 'exit' })
  t.same(calls, ['take 3', 'release', 'close'])
})

t.test('refused, and it cannot be said: the token is left, for whoever lives', async (t) => {
  const acts = ['move 3 0', 'close', `pass ${SHORT_MS * 2}`, 'take']
  const { calls, part } = await run(t, acts, { refuses: 1, waitsFor: 'close' })
  t.same(calls, ['take 3', 'discard', 'close'])
  t.equal(await part.said('took the batch'), 'took the batch')
})

for (const [name, ...acts] of [
  ['a batch out of order', 'send move {"index":5}'],
  ['garbage', 'garbage'],
  ['a sequence number too many', 'gap', 'send move'],
  ['end of file', 'close'],
  ['the end of the peer', 'exit'],
  ...Object.keys(TRANSFER)
    .filter((kind) => kind !== 'move')
    .map((kind) => [`"${kind}"`, `send ${kind}`] as const),
] as const) {
  t.test(`${name}: nothing is taken any more`, async (t) => {
    t.same((await run(t, acts)).calls, ['close'])
    t.same((await run(t, ['move 1 0', ...TAKEN, ...acts])).calls, ['take 1', 'release', 'close'])
  })
}

t.test('silence past the end of the drain', async (t) => {
  t.same((await run(t, [], {}, SHORT_MS)).calls, ['close'])
})

t.test('it gives everything away itself: it takes nothing more, and the predecessor hears its end', async (t) => {
  const { calls, part } = await run(t, ['move 1 0', ...TAKEN], {}, PATIENT_MS, async (taker, lines) => {
    await until(() => lines().some((line) => line.startsWith('heard moved')), 'the first batch')
    taker.finish()
    taker.finish()
  })
  t.same(calls, ['take 1', 'release', 'close'])
  t.ok(part)
})
