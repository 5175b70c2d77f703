import t from 'tap'
import { type SupervisorOptions, settingsOf } from '../../src/supervisor/options.js'

const release = { command: ['node'], cwd: '/' }

t.test('the defaults the README names', async (t) => {
  const { logger, ...rest } = settingsOf({ release })
  t.same(rest, {
    release,
    listen: [],
    workers: 1,
    readyTimeoutMs: 30_000,
    drainMs: 30_000,
    freezeMs: 5_000,
    checkMs: 10_000,
    policy: 'all-or-nothing',
    copyMs: 20_000,
    unsettled: 'freeze',
    memoryLimitBytes: Number.POSITIVE_INFINITY,
    maxCrashes: 5,
    health: undefined,
    probationMs: 0,
    adoptOrphans: false,
    inherited: [],
  })
  const health = 'http://127.0.0.1:80/'
  t.match(settingsOf({ release, health }), { health, probationMs: 30_000 })
  t.match(settingsOf({ release, health, probationMs: 0 }), { probationMs: 0 })
  for (const level of ['debug', 'info', 'warn', 'error'] as const) t.equal(logger[level]({}, ''), undefined)
})

t.test('what is given is taken, zero too', async (t) => {
  const given = {
    release,
    listen: [{ name: 'http', host: '::1', port: 0, backlog: 7 }],
    workers: 3,
    readyTimeoutMs: 1,
    drainMs: 0,
    freezeMs: 2,
    checkMs: 3,
    policy: 'best-effort',
    copyMs: 0,
    unsettled: 'refuse',
    memoryLimitBytes: 4,
    maxCrashes: 1,
    health: 'tcp://127.0.0.1:80',
    probationMs: 5,
    adoptOrphans: true,
    inherited: [],
  } as const
  const { logger: _, ...rest } = settingsOf(given)
  t.same(rest, given)
})

t.test('what a runtime could not read, or no timer take, is refused here', async (t) => {
  for (const [name, ...values] of [
    ['readyTimeoutMs', -1, Number.NaN, Number.POSITIVE_INFINITY, 86_400_001],
    ['drainMs', 'soon'],
    ['probationMs', -1, 86_400_001],
    ['freezeMs', -0.1],
    ['checkMs', Number.NaN],
    ['copyMs', 2 ** 31],
    ['workers', 0, -1, 1.5, 257, '2'],
    ['policy', 'some', '', null],
    ['unsettled', 'wait'],
    ['memoryLimitBytes', 0, -1, Number.NaN],
  ] as const)
    for (const value of values) {
      const options = { release, [name]: value } as unknown as SupervisorOptions
      const message = new RegExp(`^option ${name} must be .*, not ${value}\\. `)
      t.throws(() => settingsOf(options), { code: 'HANDOVER_USAGE', message }, `${name} ${value}`)
    }
  t.equal(settingsOf({ release, memoryLimitBytes: Number.POSITIVE_INFINITY, drainMs: 86_400_000 }).drainMs, 86_400_000)
})

t.test(
  'listeners: on all addresses unless one is named; what LISTEN_FDNAMES or bind(2) could not take is refused',
  async (t) => {
    t.same(settingsOf({ release, listen: [{ name: 'a', port: 80 }] }).listen, [
      { name: 'a', host: null, port: 80, backlog: 511 },
    ])
    const many = Array.from({ length: 65 }, (_, index) => ({ name: `l${index}`, port: 0 }))
    for (const [listen, message] of [
      [[{ name: 'a:b', port: 80 }], /listener "a:b": a name is/],
      [[{ name: '', port: 80 }], /listener "": a name is/],
      [[{ name: 'a\n', port: 80 }], /a name is/],
      [[{ name: 'x'.repeat(65), port: 80 }], /a name is/],
      [[{ name: 'a', port: 65_536 }], /listener "a": the port must be 0 to 65535, not 65536/],
      [[{ name: 'a', port: 1.5 }], /the port must be/],
      [[{ name: 'a', port: 1, backlog: -1 }], /listener "a": the backlog must be/],
      [[...many.slice(0, 2), ...many.slice(0, 1)], /listener "l0" is named twice/],
      [many, /65 listeners, the limit is 64/],
    ] as const)
      t.throws(() => settingsOf({ release, listen }), { code: 'HANDOVER_USAGE', message })
  },
)
