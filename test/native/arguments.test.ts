import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Binding, binding } from '../../src/sys/binding.js'
import { packageRoot } from './script.js'

const b = binding()
const some = Buffer.from('x')

// Called as JavaScript may call them, whatever the types say.
const call = (name: keyof Binding, ...args: unknown[]): unknown => (b[name] as (...args: unknown[]) => unknown)(...args)

const takesDescriptorFirst: (keyof Binding)[] = [
  'send',
  'receive',
  'duplicate',
  'close',
  'setCloseOnExec',
  'isCloseOnExec',
  'seal',
  'isSealed',
  'peerCredentials',
  'socketCookie',
  'queueSizes',
  'streamPosition',
  'socketOptions',
  'reuseAddress',
  'pidfdSignal',
  'pidfdWait',
  'watch',
]

for (const name of takesDescriptorFirst) {
  t.test(`${name} takes a descriptor`, async (t) => {
    for (const wrong of [undefined, null, '3', -1, 1.5, Number.NaN, 2 ** 31, 3n, {}, true]) {
      t.throws(() => call(name, wrong), { name: 'TypeError', message: 'fd must be an integer from 0 to 2147483647' })
    }
  })
}

const wrongCalls: [name: keyof Binding, args: unknown[], error: string, message: string][] = [
  ['send', [3, 'text', []], 'TypeError', 'payload must be a Uint8Array'],
  ['send', [3, new Uint16Array(1), []], 'TypeError', 'payload must be a Uint8Array'],
  ['send', [3, new ArrayBuffer(1), []], 'TypeError', 'payload must be a Uint8Array'],
  ['send', [3, new Uint8Array(0), []], 'RangeError', 'payload must not be empty'],
  ['send', [3, some], 'TypeError', 'descriptors must be an array'],
  ['send', [3, some, new Set()], 'TypeError', 'descriptors must be an array'],
  ['send', [3, some, [3, -1]], 'TypeError', 'descriptors[1] must be an integer from 0 to 2147483647'],
  ['send', [3, some, [undefined]], 'TypeError', 'descriptors[0] must be an integer from 0 to 2147483647'],
  ['receive', [3, 100], 'TypeError', 'into must be a Uint8Array'],
  ['receive', [3, new Uint8Array(0)], 'RangeError', 'into must not be empty'],
  ['poll', [3, [], 0], 'TypeError', 'descriptors must be an array'],
  ['poll', [[3], 1, 0], 'TypeError', 'events must be an array'],
  ['poll', [[3], [], 0], 'RangeError', 'events must have one entry for each descriptor'],
  ['poll', [[3], [1], -2], 'TypeError', 'timeoutMs must be an integer from -1 to 2147483647'],
  ['poll', [[3], [1]], 'TypeError', 'timeoutMs must be an integer from -1 to 2147483647'],
  ['setCloseOnExec', [3, 1], 'TypeError', 'on must be a boolean'],
  ['memfd', [3], 'TypeError', 'name must be a string'],
  ['memfd', ['a\0b'], 'TypeError', 'name must be a string without a NUL'],
  ['listenTcp', [1, 0, 1, false], 'TypeError', 'address must be a string'],
  ['listenTcp', ['::', 65536, 1, false], 'TypeError', 'port must be an integer from 0 to 65535'],
  ['listenTcp', ['::', 0, -1, false], 'TypeError', 'backlog must be an integer from 0 to 2147483647'],
  ['listenTcp', ['::', 0, 1], 'TypeError', 'ipv6Only must be a boolean'],
  ['bindUdp', [1, 0, false, false, false], 'TypeError', 'address must be a string'],
  ['bindUdp', ['::', -1, false, false, false], 'TypeError', 'port must be an integer from 0 to 65535'],
  ['bindUdp', ['::', 0, 0, false, false], 'TypeError', 'ipv6Only must be a boolean'],
  ['bindUdp', ['::', 0, false, 0, false], 'TypeError', 'reuseAddress must be a boolean'],
  ['bindUdp', ['::', 0, false, false], 'TypeError', 'reusePort must be a boolean'],
  ['listenUnix', [3, 1, -1], 'TypeError', 'path must be a string'],
  ['listenUnix', ['\0a', 1, -1], 'TypeError', 'path must be a string without a NUL'],
  ['listenUnix', ['/a', -1, -1], 'TypeError', 'backlog must be an integer from 0 to 2147483647'],
  ['listenUnix', ['/a', 1, 0o1000], 'TypeError', 'mode must be an integer from -1 to 511'],
  ['setReuseAddress', [3, 1], 'TypeError', 'on must be a boolean'],
  ['pidfdOpen', [0], 'TypeError', 'pid must be an integer from 1 to 2147483647'],
  ['pidfdOpen', [-1], 'TypeError', 'pid must be an integer from 1 to 2147483647'],
  ['pidfdSignal', [3, 65], 'TypeError', 'signal must be an integer from 0 to 64'],
  ['pidfdSignal', [3, 'SIGTERM'], 'TypeError', 'signal must be an integer from 0 to 64'],
  ['setDescriptorLimit', [-1], 'TypeError', 'soft must be an integer from 0 to 9007199254740991'],
  ['growDescriptorTable', [0], 'TypeError', 'count must be an integer from 1 to 2147483647'],
  ['watch', [3], 'TypeError', 'onReady must be a function'],
]

for (const [name, args, error, message] of wrongCalls) {
  t.test(`${name}: ${message}`, async (t) => {
    t.throws(() => call(name, ...args), { name: error, message })
  })
}

t.test('a watcher takes POLLIN and POLLOUT only, and only itself', async (t) => {
  const [left, right] = b.socketpair()
  const watcher = b.watch(left, () => undefined)
  for (const wrong of [0, 2, 3, 6, 8, 16, -1, 'x', undefined]) {
    t.throws(() => watcher.start(wrong as number), { name: 'TypeError', message: /^events must be / })
  }
  t.throws(() => watcher.close.call({} as typeof watcher), Error)
  const { constructor: Class } = watcher as unknown as { constructor: new (...args: unknown[]) => unknown }
  t.throws(() => new Class(), TypeError)
  t.throws(() => (Class as unknown as () => void)(), TypeError)
  watcher.close()
  b.close(left)
  b.close(right)
})

t.test('an argument that runs JavaScript while it is read does no harm', async (t) => {
  const [left, right] = b.socketpair()
  const payload = new Uint8Array(1000)
  const detaching = [0]
  Object.defineProperty(detaching, 0, {
    get: () => {
      structuredClone(payload, { transfer: [payload.buffer] })
      return left
    },
  })
  t.throws(() => b.send(left, payload, detaching), { name: 'RangeError', message: 'payload must not be empty' })
  const throwing = [0]
  Object.defineProperty(throwing, 0, {
    get: () => {
      throw new Error('of its own')
    },
  })
  t.throws(() => b.send(left, some, throwing), { message: 'of its own' })
  t.equal(b.receive(right, Buffer.alloc(1)), undefined)
  b.close(left)
  b.close(right)
})

t.test('the addon exports what its contract names, no more and no less', async (t) => {
  const source = readFileSync(`${packageRoot}src/sys/binding.ts`, 'utf8')
  const contract = /export interface Binding \{\n(.*?)\n\}/s.exec(source)![1]!
  const named = [...contract.matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name).sort()
  t.ok(named.length > 20)
  t.same(Object.keys(b).sort(), named)
})
