import t from 'tap'
import { planSpread } from '../../src/supervisor/spread.js'

const after = (workers: { sessions: number; isNew: boolean }[]): number[] => {
  const counts = workers.map(({ sessions }) => sessions)
  for (const { from, to, sessions } of planSpread(workers)) {
    t.ok(sessions > 0 && workers[to]!.isNew && !workers[from]!.isNew)
    counts[from]! -= sessions
    counts[to]! += sessions
  }
  return counts
}
const old = (sessions: number) => ({ sessions, isNew: false })
const fresh = (sessions = 0) => ({ sessions, isNew: true })

t.test('all have the same in the end, but for a rest that stays where it is', async (t) => {
  t.same(after([old(30), fresh(), fresh()]), [10, 10, 10])
  t.same(after([old(31), fresh(), fresh()]), [11, 10, 10])
  t.same(after([old(10), old(20), fresh(), fresh()]), [7, 9, 7, 7], 'a rest of some')
  t.same(after([old(2), old(40), fresh()]), [2, 26, 14], 'who has less than its share gives none, and gets none')
  t.same(after([old(10), fresh(4)]), [7, 7], 'who came meanwhile counts')
})

t.test('too few to share, or nobody new: nothing moves', async (t) => {
  t.same(planSpread([old(0), fresh()]), [])
  t.same(planSpread([old(1), fresh(), fresh()]), [])
  t.same(planSpread([old(100), old(0)]), [])
  t.same(planSpread([]), [])
})
