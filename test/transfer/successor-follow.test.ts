/** The successor's side of best effort, and of what follows. */
import t from 'tap'
import { closeAll } from '../../src/sys/channel.js'
import { Ledger } from '../../src/transfer/ledger.js'
import { Successor } from '../../src/transfer/successor.js'
import type { Ending } from '../../src/transfer/types.js'
import { sealState } from '../../src/wire/envelope.js'
import { within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { type Fails, FakeSink, isAborted, nextPlayer, no, PATIENT, run, TO } from './sink.js'

const BEST_EFFORT = { ...PATIENT, policy: 'best-effort' as const }
const FOLLOWS = ['send offer {"follows":true}', 'expect accept']

/** Of the peer's sessions with these ids. */
function digestOf(...ids: number[]): number {
  const ledger = new Ledger()
  const { bytes, checksum } = sealState({ from: 'the script' })
  ledger.note({ kind: 'batch', records: ids.map((id) => [id, 0, bytes, checksum, null]), descriptors: [] })
  return ledger.digest
}

t.test('best effort: who cannot be taken is named, nothing of it is left, and the others go on', async (t) => {
  // The second of the first batch, then the first change.
  const fails: Fails = {
    adopt: (call) => (call === 2 ? no('not this one')() : undefined),
    update: (call) => (call === 1 ? no('nor this one')() : undefined),
  }
  const update = 'send update {"changes":[[1,null,0,null],[2,null,0,null],[3,null,0,null]]}'
  const acts = [
    ...[...FOLLOWS, 'send state', 'batch 3 0', 'expect received', update, 'expect received'],
    ...['send gone {"ids":[1]}', 'expect received', 'batch 1 0', 'expect received', 'send freeze'],
    ...[`send manifest {"sessions":2,"digest":${digestOf(3, 4)}}`, 'expect prepared', 'send abort'],
  ]
  const result = await run(t, acts, BEST_EFFORT, new FakeSink(fails))
  // The manifest, of the others, was what it has: it has voted.
  isAborted(t, result, /^the script says no$/)
  const { sink, part } = result
  // What it prints comes by a pipe of its own, later than what it says on the channel.
  await part.said('heard prepared')
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
