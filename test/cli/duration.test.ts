import t from 'tap'
import { formatMs, parseDuration } from '../../src/cli/duration.js'

t.test('durations as people write them', async (t) => {
  for (const [text, ms] of [
    ['30s', 30_000],
    ['500ms', 500],
    ['2m', 120_000],
    ['2 minutes', 120_000],
    ['1h', 3_600_000],
    ['24h', 86_400_000],
    ['1d', 86_400_000],
    ['250', 250],
    ['0', 0],
    ['0.5s', 500],
    ['1.5 ms', 1.5],
  ] as const) {
    t.equal(parseDuration(text), ms, text)
  }
})

t.test('and what is none', async (t) => {
  const bad = [
    '',
    ' ',
    'garbage',
    '30x',
    's',
    '-1s',
    '-5',
    '25h',
    '2d',
    '1y',
    'Infinity',
    'NaN',
    '1e9',
    '30s30s',
    '１s',
    '9'.repeat(30),
  ]
  for (const text of bad) {
    t.throws(
      () => parseDuration(text),
      { code: 'HANDOVER_USAGE', message: /is not a duration of 0 to 24h/ },
      JSON.stringify(text),
    )
  }
})

t.test('milliseconds for people', async (t) => {
  const shown = [0.123, 1, 12.34, 100, 1_234.5, 12_340, 125_000].map(formatMs)
  t.same(shown, ['0.12 ms', '1.0 ms', '12.3 ms', '100 ms', '1,235 ms', '12.3 s', '2 min'])
})
