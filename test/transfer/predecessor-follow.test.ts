/** The predecessor's side of best effort, and of what follows. */
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { Predecessor } from '../../src/transfer/predecessor.js'
import type { Ending } from '../../src/transfer/types.js'
import { within } from '../harness/timeout.js'
import {
  AGREED,
  BATCHES,
  bytes,
  checksum,
  FakeSource,
  MOVED,
  nextPlayer,
  notTaken,
  PATIENT,
  REST,
  run,
  taken,
} from './source.js'

const BEST_EFFORT = { ...PATIENT, policy: 'best-effort' as const }
const FOLLOWS = ['expect offer', 'send accept {"follows":true}', 'expect state']
const REFUSED = 'send received {"refused":[{"id":2,"reason":"no","kind":"chat","version":1}]}'

/** All acknowledged, but that the second batch is refused, and what comes in the freeze is answered by `rest`. */
const partly = (begin: readonly string[], rest: readonly string[] = taken(REST)): string[] => [
  ...begin,
  ...taken(['batch']),
  'expect batch',
  REFUSED,
  ...taken(BATCHES.slice(2)),
  'expect freeze',
  'expect state',
  ...rest,
]

t.test('best effort: who is refused stays, and the manifest is of the others', async (t) => {
  const source = new FakeSource()
  const acts = [...partly(FOLLOWS), 'expect manifest', 'send prepared', 'expect commit', 'send active']
  const { ending, part } = await run(t, acts, BEST_EFFORT, source)
  t.match(ending, { outcome: 'committed', moved: MOVED - 1, reasons: [{ reason: '2 stays', count: 1 }] })
  t.match(await part.said('heard manifest'), new RegExp(`"sessions":${MOVED - 1},.*"nextId":100`))
})

t.test('best effort: who is refused in the freeze is known before the manifest', async (t) => {
  const source = new FakeSource()
  const last = 'send received {"refused":[{"id":8,"reason":"no"}]}'
  const rest = [...taken(REST.slice(0, -1)), 'expect batch', 'pass 50', last]
  const acts = [...partly(FOLLOWS, rest), 'expect manifest', 'send prepared', 'expect commit', 'send active']
  const { ending } = await run(t, acts, BEST_EFFORT, source)
  t.match(ending, { outcome: 'committed', moved: MOVED - 2 })
  t.same(source.refusedIds, [2, 8])
})

t.test('single sessions may be refused only where both have agreed on it', async (t) => {
  const refused = [...taken(['batch']), 'expect batch', REFUSED]
  notTaken(t, await run(t, [...FOLLOWS, ...refused]), /"received" in phase copy, where it was not due/)
  notTaken(t, await run(t, [...AGREED, ...refused], BEST_EFFORT), /"received" in phase copy, where it was not due/)
})

t.test('what is left follows on the same channel, to a successor that knows how', async (t) => {
  for (const follows of [true, false]) {
    const left = { file: binding().memfd('session'), calls: [] as string[], more: true }
    let ended = (): void => undefined
    const source = new FakeSource()
    const over = new Promise<void>((resolve) => {
      ended = resolve
    })
    source.handOver = () => ({
      onStop: () => undefined,
      next: () => {
        if (!left.more) return undefined
        left.more = false
        return { records: [[50, 0, bytes, checksum, null]], descriptors: [left.file] }
      },
      due: () => undefined,
      moved: (refused) => void left.calls.push(`moved but ${refused.length}`),
      keep: () => void left.calls.push('kept'),
      end: (why) => {
        left.calls.push(why)
        ended()
      },
    })
    const begin = follows ? FOLLOWS : AGREED
    const peer = await nextPlayer()
    const part = peer.play('successor', [
      ...begin,
      ...[...taken(BATCHES), 'expect freeze', 'expect state', ...taken(REST), 'expect manifest'],
      ...['send prepared', 'expect commit', 'send active'],
      ...(follows ? ['expect move', 'send held', 'take', 'send moved', 'pass 50'] : []),
    ])
    const ending = await within(
      new Promise<Ending>((resolve) => {
        new Predecessor(part.link, part.fence, source, PATIENT, resolve).start()
      }),
      'the ending',
    )
    t.match(ending, { outcome: 'committed' })
    await within(over, 'the end of what follows')
    t.equal(part.link.isOpen, false)
    t.same(left.calls, follows ? ['moved but 0', 'everything had moved'] : ['the successor takes nothing more'])
    binding().close(left.file)
    binding().close(source.file)
  }
})
