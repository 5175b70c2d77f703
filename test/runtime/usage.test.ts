import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { JoinedRuntime } from '../../src/runtime/runtime.js'
import { FakeTransport, type Faults, socket } from './pair.js'

const definition = { version: 1, capture: () => ({}), restore: () => ({}) }
const alone = (faults?: Faults) => new JoinedRuntime(undefined, 1, new FakeTransport(faults), undefined)

const usage = (t: Test, run: () => unknown, message: RegExp): unknown =>
  t.throws(run, { name: 'HandoverError', code: 'HANDOVER_USAGE', message })

t.test('everything is declared before ready, and ready is called once', async (t) => {
  const runtime = alone()
  runtime.sessions('chat', definition)
  await runtime.ready()
  usage(t, () => runtime.sessions('late', definition), /^session kind "late" comes after ready\(\)/)
  usage(t, () => runtime.state('late', definition), /^shared state "late" comes after ready\(\)/)
  await t.rejects(runtime.listen(createServer(), { name: 'late', port: 0 }), {
    code: 'HANDOVER_USAGE',
    message: /^listener "late" comes after ready\(\)/,
  })
  await t.rejects(runtime.ready(), { code: 'HANDOVER_USAGE', message: /^ready comes after ready\(\)/ })
})

t.test('one name, one meaning; a kind and a state may share it', async (t) => {
  const runtime = alone()
  runtime.sessions('chat', definition)
  runtime.state('chat', definition)
  usage(t, () => runtime.sessions('chat', definition), /session kind "chat" is declared already/)
  usage(t, () => runtime.state('chat', definition), /shared state "chat" is declared already/)
})

t.test('names', async (t) => {
  const runtime = alone()
  for (const name of ['', 'x'.repeat(129), undefined, null, 7, {}]) {
    usage(t, () => runtime.sessions(name as string, definition), /a session kind needs a name of 1 to 128 characters/)
    usage(t, () => runtime.state(name as string, definition), /a shared state needs a name of 1 to 128 characters/)
  }
  for (const name of ['x'.repeat(128), '__proto__', 'constructor'])
    t.doesNotThrow(() => runtime.sessions(name, definition), name)
})

t.test('what a declaration needs', async (t) => {
  const runtime = alone()
  for (const method of ['capture', 'restore'] as const) {
    const lacking = { ...definition, [method]: undefined } as unknown as typeof definition
    usage(t, () => runtime.sessions('chat', lacking), new RegExp(`session kind "chat": ${method} must be a function`))
    usage(t, () => runtime.state('rooms', lacking), new RegExp(`shared state "rooms": ${method} must be a function`))
  }
  usage(
    t,
    () => runtime.sessions('chat', { ...definition, version: 0 }),
    /session kind "chat": version must be a positive integer/,
  )
  usage(
    t,
    () => runtime.state('rooms', { ...definition, upgrade: { 1: () => ({}) } }),
    /shared state "rooms": upgrade step 1 leads to version 2, but the version is 1/,
  )
  const precopy = { update: () => undefined, forget: () => undefined }
  for (const wrong of [
    { independent: true as const, precopy },
    { independent: false as unknown as true },
    { independent: 'yes' as unknown as true },
  ])
    usage(
      t,
      () => runtime.sessions('chat', { ...definition, ...wrong }),
      /session kind "chat": independent is true or absent, and excludes precopy/,
    )
  t.doesNotThrow(() => runtime.sessions('loner', { ...definition, independent: true }))
  t.doesNotThrow(() => runtime.sessions('chat', definition), 'what was refused left nothing behind')
})

t.test('ports', async (t) => {
  const runtime = alone()
  for (const port of [-1, 65_536, 1.5, '80', undefined]) {
    await t.rejects(runtime.listen(createServer(), { name: 'a', port: port as number }), {
      code: 'HANDOVER_USAGE',
      message: /port must be 0 to 65535, not/,
    })
  }
})

t.test('paths', async (t) => {
  const runtime = alone()
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ path: '/tmp/x', port: 0 }, /listener "a": it has a port and a path: two listeners need two names/],
    [{ path: '/tmp/x', host: '::' }, /host belongs to a port/],
    [{ path: '' }, /path must be the path of a unix socket/],
    [{ path: 7 }, /path must be the path of a unix socket/],
    [{ path: '\0abstract' }, /an abstract name cannot be kept: .* use a path/],
    [{ path: `/${'x'.repeat(107)}` }, /its path has 108 bytes, the kernel's limit is 107/],
    [{ path: `/${'é'.repeat(54)}` }, /its path has 109 bytes/],
    [{ path: '/tmp/x', mode: 0o1000 }, /mode must be 0 to 0o777, not 512/],
    [{ path: '/tmp/x', mode: '660' }, /mode must be 0 to 0o777, not 660/],
    [{ port: 0, mode: 0o660 }, /mode belongs to a path/],
  ]
  for (const [options, message] of wrong) {
    const given = { name: 'a', ...options } as unknown as { name: string; path: string }
    await t.rejects(runtime.listen(createServer(), given), { code: 'HANDOVER_USAGE', message })
  }
})

t.test('a socket is a session once, and only if it can move', async (t) => {
  const runtime = alone()
  const chat = runtime.sessions('chat', definition)
  const admin = runtime.sessions('admin', definition)
  const one = socket('one')
  t.equal(chat.open(one, 'session'), 'session')
  usage(t, () => admin.open(one, 'again'), /the socket is a session of kind "chat" already/)
  t.equal(chat.get(one), 'session')
  t.equal(admin.get(one), undefined)
  t.same([chat.size, admin.size], [1, 0])
  t.equal(chat.leave(one), true)
  t.equal(chat.leave(one), false)
  t.equal(admin.open(one, 'now'), 'now')
  one.emit('close')
  t.equal(admin.size, 0, 'it leaves by itself')
  const unmovable = alone({ refuses: 'a TLS session cannot leave its process' }).sessions('chat', definition)
  t.throws(() => unmovable.open(one, {}), {
    code: 'HANDOVER_NOT_MOVABLE',
    message: /session kind "chat" cannot take the socket: a TLS session/,
  })
})

t.test('alone it is generation 1, unsupervised, and never retired', async (t) => {
  const runtime = alone()
  await runtime.ready()
  t.match(runtime, { supervised: false, generation: 1, retired: { aborted: false } })
})
