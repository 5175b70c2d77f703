import t from 'tap'
import { Backoff } from '../../src/supervisor/backoff.js'

t.test('delays double up to ten seconds, and it ends at the limit', async (t) => {
  const backoff = new Backoff(10)
  const delays = Array.from({ length: 10 }, (_, index) => backoff.next(index))
  t.same(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, undefined])
  t.equal(backoff.next(11), undefined, 'and stays so')
})

t.test('a crash more than a minute after the last one begins a new row', async (t) => {
  const backoff = new Backoff(3)
  t.same([backoff.next(0), backoff.next(60_000), backoff.next(120_001), backoff.next(180_001)], [100, 200, 100, 200])
  t.equal(backoff.next(240_001), undefined)
})

t.test('one crash may be one too many', async (t) => {
  t.equal(new Backoff(1).next(0), undefined)
})
