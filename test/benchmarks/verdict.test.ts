/** What is measured is judged right; what is not measured is never met. */
import t from 'tap'
import type { Bench } from '../../benchmarks/bench.js'
import { QUICK } from '../../benchmarks/plan.js'
import { goalsOf } from '../../benchmarks/targets/goals.js'
import { pauseOfAll, whyNotIndependent } from '../../benchmarks/targets/independent.js'
import { GROUPS, isSelected, measureTargets } from '../../benchmarks/targets/targets.js'
import { type Goal, judge, unmeasured } from '../../benchmarks/verdict.js'

const goal = (at: Goal['at'], limit: number): Goal => ({ name: 'X', what: '', unit: 'ms', at, limit, against: '' })

t.test('a limit is met up to and including itself, on its own side', async (t) => {
  const cases = [
    ['most', 10, 9.99, true],
    ['most', 10, 10, true],
    ['most', 10, 10.01, false],
    ['least', 0.99, 0.9899, false],
    ['least', 0.99, 0.99, true],
    ['least', 0.99, 1, true],
  ] as const
  for (const [at, limit, value, met] of cases) {
    const target = judge(goal(at, limit), value)
    t.match(target, { value, met }, `${value} at ${at} ${limit}`)
    t.match(target.target, at === 'most' ? '≤' : '≥')
  }
})

t.test('no figure is not a good figure', async (t) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    t.match(judge(goal('most', 10), value), { value: null, met: false, reason: /no figure/ })
    t.match(judge(goal('least', 10), value), { value: null, met: false, reason: /no figure/ })
  }
  t.match(unmeasured(goal('most', 1), 'because'), { value: null, met: false, reason: 'because' })
})

t.test('every goal is measured by one group', async (t) => {
  const names = GROUPS.flatMap((group) => group.names)
  t.strictSame(names.toSorted(), Object.keys(goalsOf(QUICK)).toSorted())
  t.equal(new Set(names).size, names.length)
})

t.test('a selection: the beginning of a name means all that begin so', async (t) => {
  const names = GROUPS.flatMap((group) => group.names)
  const of = (...words: string[]): string[] => names.filter((name) => isSelected(name, words))
  t.strictSame(of('P1'), ['P1', 'P1max', 'P1ratio', 'P1i', 'P1ilatency'])
  t.strictSame(of('P1i', 'P6', 'P1max'), ['P1max', 'P1i', 'P1ilatency', 'P6'])
  t.strictSame(of('peers'), [])
})

t.test('a trial that fails leaves a reason, and the others are measured', async (t) => {
  const pauseMs = { p50: 1, p99: 11, max: 19 }
  const latency = { count: 1, p50: 1, p99: 1, max: 1 }
  const upgrade = {
    sessions: 1,
    pauseMs,
    transferMs: 1,
    phases: [],
    beyondStartMs: 200,
    before: latency,
    during: latency,
  }
  const bench = {
    plan: QUICK,
    series: async (file: string) => {
      if (file !== 'upgrade') throw new Error('Error: cut a connection was closed\n  at …')
      return [upgrade]
    },
    upgradeParams: () => ({}),
    nodeOf: async () => new Error('no Node 24'),
  } as unknown as Bench
  const { targets, failures } = await measureTargets(bench, ['P1', 'P5large', 'P1max', 'P1i', 'P2node24', 'P6'])
  const of = Object.fromEntries(targets.map((target) => [target.name, target]))
  t.match(of, {
    P1: { value: 11, met: false },
    P1max: { value: 19, met: true },
    P1ratio: { value: null, met: false, reason: /the trial failed/ },
    P1i: { value: null, met: false, reason: /no `followed`/ },
    P1ilatency: { value: null, met: false, reason: /no `followed`/ },
    P2node24: { value: null, met: false, reason: 'no Node 24' },
    P5large: { value: null, met: false, reason: /the trial failed: Error: cut a connection was closed/ },
    P6: { value: 0.2, met: true },
  })
  t.equal(failures, 2)
})

t.test('independent sessions: those that moved in the freeze count where a p99 sees them', async (t) => {
  const pauseMs = { p50: 30, p99: 30, max: 30 }
  const own = { p50: 1, p99: 2, max: 3 }
  const of = (followed: number) =>
    pauseOfAll({ sessions: 1000, followed: { sessions: followed, pauseMs: own }, pauseMs })
  t.strictSame(of(1000), { p99: 2, max: 3 })
  t.strictSame(of(990), { p99: 2, max: 30 })
  t.strictSame(of(989), { p99: 30, max: 30 })
  t.equal(whyNotIndependent({ sessions: 990, pauseMs: own }), undefined)
  t.match(whyNotIndependent({ sessions: 0, pauseMs: null }), /no session moved/)
  t.match(whyNotIndependent(undefined), /no `followed`/)
})
