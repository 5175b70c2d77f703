/** Every way a socket's description can change is noticed, and afterwards nothing is left of the noticing. */
import { once } from 'node:events'
import net, { type AddressInfo, connect, createServer, Socket } from 'node:net'
import { finished, PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { USES } from '../../src/sys/node/usage.js'
import { followUse } from '../../src/sys/node-internals.js'
import { until } from '../harness/timeout.js'

const ignore = () => undefined
const { prototype } = net.Socket
const snapshot = (): Map<string | symbol, PropertyDescriptor> =>
  new Map(Reflect.ownKeys(prototype).map((key) => [key, Object.getOwnPropertyDescriptor(prototype, key)!]))

/** The prototype is what it was: the same functions, in the same order, with the same attributes. */
function same(t: Test, before: Map<string | symbol, PropertyDescriptor>): void {
  const now = snapshot()
  t.same([...now.keys()], [...before.keys()])
  for (const [key, descriptor] of before)
    for (const part of ['value', 'get', 'set', 'writable', 'enumerable', 'configurable'] as const)
      if (!Object.is(now.get(key)?.[part], descriptor[part])) t.fail(`${String(key)}: ${part}`)
}

interface Pair {
  readonly client: Socket
  /** The server's end, paused. */
  readonly socket: Socket
  readonly fired: string[]
}

async function connected(t: Test, setUp: (socket: Socket) => void = ignore, allowHalfOpen = false): Promise<Pair> {
  const server = createServer({ allowHalfOpen, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', ignore)
  const [socket] = (await once(server, 'connection')) as [Socket]
  socket.on('error', ignore)
  setUp(socket)
  server.close()
  t.teardown(() => {
    client.destroy()
    prototype.destroy.call(socket)
  })
  return { client, socket, fired: [] }
}

/** Runs with the socket followed, and tells how often it was used. */
async function usesOf(socket: Socket, run: () => unknown): Promise<number> {
  let uses = 0
  const unfollow = followUse((used) => {
    if (used === socket) uses++
  })
  try {
    await run()
    return uses
  } finally {
    unfollow()
  }
}

const METHODS: Record<string, (socket: Socket) => unknown> = {
  write: (socket) => socket.write('x'),
  end: (socket) => socket.end(),
  cork: (socket) => socket.cork(),
  uncork: (socket) => socket.uncork(),
  read: (socket) => socket.read(0),
  push: (socket) => socket.push('x'),
  unshift: (socket) => socket.unshift(Buffer.from('x')),
  pause: (socket) => socket.pause(),
  resume: (socket) => socket.resume(),
  pipe: (socket) => socket.pipe(new PassThrough()),
  unpipe: (socket) => socket.unpipe(),
  setEncoding: (socket) => socket.setEncoding('utf8'),
  setTimeout: (socket) => socket.setTimeout(1000),
  setNoDelay: (socket) => socket.setNoDelay(),
  setKeepAlive: (socket) => socket.setKeepAlive(true),
  ref: (socket) => socket.ref(),
  unref: (socket) => socket.unref(),
  on: (socket) => socket.on('readable', ignore),
  addListener: (socket) => socket.addListener('readable', ignore),
  once: (socket) => socket.once('readable', ignore),
  off: (socket) => socket.off('readable', ignore),
  removeListener: (socket) => socket.removeListener('readable', ignore),
  removeAllListeners: (socket) => socket.removeAllListeners('readable'),
  destroy: (socket) => socket.destroy(),
  destroySoon: (socket) => socket.destroySoon(),
  resetAndDestroy: (socket) => socket.resetAndDestroy(),
}

t.test('each method marks', async (t) => {
  for (const [name, use] of Object.entries(METHODS)) {
    const { socket } = await connected(t)
    t.ok((await usesOf(socket, () => use(socket))) > 0, name)
  }
})

t.test('looking does not', async (t) => {
  const { socket } = await connected(t)
  const look = () => [
    socket.remoteAddress,
    socket.address(),
    socket.bytesRead,
    socket.bytesWritten,
    socket.readyState,
    socket.pending,
    socket.isPaused(),
    socket.listenerCount('data'),
    socket.timeout,
  ]
  t.equal(await usesOf(socket, look), 0)
})

/** What Node, or the client, does. `setUp` runs before anybody follows. */
const BY_ITSELF: Record<string, { setUp?: (pair: Pair) => unknown; run: (pair: Pair) => unknown; halfOpen?: true }> = {
  'the client sends, to a reader by data': {
    setUp: ({ socket }) => socket.on('data', ignore).resume(),
    run: async ({ client, socket }) => {
      client.write('x')
      await until(() => socket.bytesRead === 1, 'a byte')
    },
  },
  'the client sends, and nobody reads but Node': {
    setUp: ({ socket }) => socket.read(0),
    run: async ({ client, socket }) => {
      client.write('x')
      await until(() => socket.readableLength === 1, 'a byte')
    },
  },
  'an async iterator': {
    setUp: ({ client }) => client.write('x'),
    run: async ({ socket }) => {
      for await (const _ of socket) break
    },
  },
  "the client's FIN": {
    setUp: ({ socket }) => socket.on('end', ignore).resume(),
    run: async ({ client, socket }) => {
      client.end()
      await once(socket, 'end')
    },
    halfOpen: true,
  },
  'end() by allowHalfOpen: false': {
    setUp: ({ socket }) => socket.resume(),
    run: async ({ client, socket }) => {
      client.end()
      await until(() => socket.writableEnded, 'the end of the other half')
    },
  },
  'the idle timer fires, armed long before': {
    setUp: ({ socket, fired }) => {
      socket.setTimeout(10, () => fired.push('timeout'))
    },
    // Not by a listener of this test's: to add one is a use.
    run: ({ fired }) => until(() => fired.length > 0, 'the timer'),
  },
}

t.test('what happens without a call of the app', async (t) => {
  for (const [name, { setUp, run, halfOpen }] of Object.entries(BY_ITSELF)) {
    const pair = await connected(t, ignore, halfOpen)
    setUp?.(pair)
    t.ok((await usesOf(pair.socket, () => run(pair))) > 0, name)
  }
})

t.test('a write that was taken completes', async (t) => {
  const { client, socket } = await connected(t)
  client.pause()
  while (socket.write(Buffer.alloc(1_000_000)));
  const completed = new Promise((resolve) => socket.once('drain', resolve))
  t.ok(
    (await usesOf(socket, async () => {
      client.resume()
      await completed
    })) > 0,
  )
})

t.test('pipe: into it, out of it, its pause and its going on', async (t) => {
  const { client, socket } = await connected(t)
  const source = new Readable({ read: ignore })
  source.pipe(socket)
  t.ok(
    (await usesOf(socket, async () => {
      source.push('x')
      await once(client, 'data')
    })) > 0,
    'into it',
  )
  const full = new PassThrough({ highWaterMark: 1 })
  socket.pipe(full)
  client.write('much')
  await until(() => socket.isPaused(), 'the pause')
  t.ok(
    (await usesOf(socket, async () => {
      full.resume()
      await until(() => !socket.isPaused(), 'it to go on')
    })) > 0,
    'it goes on',
  )
})

t.test('pipeline and finished', async (t) => {
  const { socket } = await connected(t)
  t.ok((await usesOf(socket, () => pipeline(Readable.from(['x']), socket))) > 0, 'pipeline')
  const other = await connected(t)
  const ended = new Promise((resolve) => finished(other.socket, resolve))
  t.ok(
    (await usesOf(other.socket, async () => {
      other.socket.destroy()
      await ended
    })) > 0,
    'finished',
  )
})

/** As tools do that measure: the method that was is kept, one of the app's own is put in its place. */
t.test("methods of the app's own that call what was there before", async (t) => {
  for (const name of ['write', 'end', 'read', 'pause', 'resume', 'push', 'destroy'] as const) {
    const { socket, client } = await connected(t, (socket) => {
      const before = socket[name] as (...words: unknown[]) => unknown
      Object.assign(socket, {
        [name]: (...words: unknown[]) => before.apply(socket, words),
      })
    })
    socket.resume()
    await new Promise((resolve) => setImmediate(resolve))
    client.write('x')
    await until(() => socket.bytesRead === 1, 'the byte')
    const words: Record<string, unknown[]> = { write: ['x'], push: ['x'] }
    const use = async () => {
      ;(socket[name] as (...words: unknown[]) => unknown)(...(words[name] ?? []))
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (name === 'read' || name === 'resume') {
      socket.pause()
      await new Promise((resolve) => setImmediate(resolve))
      socket.unshift(Buffer.from('x'))
    }
    t.ok((await usesOf(socket, use)) > 0, name)
  }
})

t.test('a subclass that calls super, and one method that calls the prototype', async (t) => {
  class Counting extends Socket {
    override write(...words: unknown[]): boolean {
      return (super.write as (...words: unknown[]) => boolean)(...words)
    }
  }
  const own = new Counting()
  t.ok((await usesOf(own, () => own.write('x'))) > 0)
  own.destroy()
  const { socket } = await connected(t)
  socket.write = ((...words: [string]) => prototype.write.apply(socket, words)) as Socket['write']
  t.ok((await usesOf(socket, () => socket.write('x'))) > 0)
})

t.test('afterwards nothing is left', async (t) => {
  const before = snapshot()
  const unfollow = followUse(ignore)
  for (const name of USES) t.not(prototype[name as 'write'], before.get(name)?.value, `${name} is wrapped`)
  t.same(
    Object.keys(prototype).filter((name) => !USES.includes(name as 'write')),
    [...before].flatMap(([name, { enumerable }]) =>
      typeof name === 'string' && enumerable && !USES.includes(name as 'write') ? [name] : [],
    ),
  )
  unfollow()
  unfollow()
  same(t, before)
})

t.test('two at once, the same function too: each hears until it has stopped', async (t) => {
  const before = snapshot()
  const { socket } = await connected(t)
  const heard: string[] = []
  const noteAs = (who: string) => (used: Socket) => {
    if (used === socket) heard.push(who)
  }
  const note = noteAs('one')
  const stops = [followUse(note), followUse(note), followUse(noteAs('two'))]
  socket.setNoDelay()
  t.same([...new Set(heard)], ['one', 'two'])
  const count = () => heard.splice(0).filter((who) => who === 'one').length
  const both = count()
  stops[0]!()
  stops[0]!()
  socket.setNoDelay()
  t.equal(count() * 2, both, 'one of the two is left')
  stops[1]!()
  socket.setNoDelay()
  t.same([...new Set(heard.splice(0))], ['two'])
  stops[2]!()
  socket.setNoDelay()
  t.same(heard, [])
  same(t, before)
})

t.test('whoever wraps a method in the meantime keeps it', async (t) => {
  const before = snapshot()
  const { socket } = await connected(t)
  const uses: string[] = []
  const unfollow = followUse(() => uses.push('ours'))
  const inner = prototype.pause
  const theirs = function (this: Socket) {
    uses.push('theirs')
    return inner.call(this)
  }
  prototype.pause = theirs as Socket['pause']
  t.teardown(() => {
    Object.defineProperty(prototype, 'pause', before.get('pause')!)
  })
  unfollow()
  uses.length = 0
  socket.pause()
  t.same(uses, ['theirs'])
  t.ok(socket.isPaused(), 'Node has been told')
  const again = followUse(() => uses.push('ours'))
  socket.pause()
  t.ok(uses.includes('ours'))
  again()
  t.equal(prototype.pause, theirs)
})
