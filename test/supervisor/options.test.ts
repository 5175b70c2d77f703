import t from 'tap'
import { settingsOf } from '../../src/supervisor/options.js'

const release = { command: ['node'], cwd: '/' }

t.test('the defaults the README names', async (t) => {
  const { logger, ...rest } = settingsOf({ release })
  t.same(rest, {
    release,
    readyTimeoutMs: 30_000,
    drainMs: 30_000,
    freezeMs: 5_000,
    checkMs: 10_000,
    policy: 'all-or-nothing',
    copyMs: 20_000,
    unsettled: 'freeze',
    memoryLimitBytes: Number.POSITIVE_INFINITY,
    maxCrashes: 5,
  })
  for (const level of ['debug', 'info', 'warn', 'error'] as const) t.equal(logger[level]({}, ''), undefined)
})

t.test('what is given is taken, zero too', async (t) => {
  const given = {
    release,
    readyTimeoutMs: 1,
    drainMs: 0,
    freezeMs: 2,
    checkMs: 3,
    policy: 'best-effort',
    copyMs: 0,
    unsettled: 'refuse',
    memoryLimitBytes: 4,
    maxCrashes: 1,
  } as const
  const { logger: _, ...rest } = settingsOf(given)
  t.same(rest, given)
})
