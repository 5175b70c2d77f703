/** A timer whose remaining time moves. */
import t from 'tap'
import { Deadline } from '../../src/runtime/deadline.js'
import { nowMs } from '../../src/sys/clock.js'
import { within } from '../harness/timeout.js'

/** Resolves when it is due, with the times it was. */
function due(): { deadline: Deadline; fired: Promise<number>; count: () => number } {
  let count = 0
  let resolve = (_: number): void => undefined
  const fired = new Promise<number>((done) => {
    resolve = done
  })
  const deadline = new Deadline(() => {
    count++
    resolve(nowMs())
  })
  return { deadline, fired, count: () => count }
}

/** The loop stays alive for it: a deadline does not keep it. */
async function wait<T>(promise: Promise<T>): Promise<T> {
  const alive = setInterval(() => undefined, 1000)
  return within(promise, 'the deadline').finally(() => clearInterval(alive))
}

t.test('it is due not before its time, once', async (t) => {
  const { deadline, fired, count } = due()
  const before = nowMs()
  deadline.in(30)
  t.ok((deadline.leftMs as number) <= 30)
  t.ok((await wait(fired)) - before >= 30)
  t.equal(deadline.dueAtMs, null)
  t.equal(deadline.leftMs, null)
  t.equal(count(), 1)
})

t.test('what is captured in one is set in another, and what has passed counts', async (t) => {
  const [before, after] = [due(), due()]
  before.deadline.in(60)
  const { dueAtMs } = before.deadline
  before.deadline.clear()
  t.equal(before.deadline.dueAtMs, null)
  after.deadline.at(dueAtMs)
  t.ok((await wait(after.fired)) >= (dueAtMs as number))
  t.equal(before.count(), 0)
})

t.test('an overdue one is due at once; a later time takes the place of an earlier', async (t) => {
  const [overdue, moved] = [due(), due()]
  overdue.deadline.at(nowMs() - 1000)
  t.equal(overdue.deadline.leftMs, 0)
  moved.deadline.in(1)
  moved.deadline.in(10 ** 12)
  await wait(overdue.fired)
  const other = due()
  other.deadline.in(20)
  await wait(other.fired)
  t.equal(moved.count(), 0)
  t.ok((moved.deadline.leftMs as number) > 2 ** 31, 'longer than setTimeout takes')
  moved.deadline.clear()
})

t.test('what is no time is refused', async (t) => {
  const { deadline } = due()
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, 'soon']) {
    t.throws(() => deadline.in(wrong as number), { code: 'HANDOVER_USAGE' })
    t.throws(() => deadline.at(wrong as number), { code: 'HANDOVER_USAGE' })
  }
})
