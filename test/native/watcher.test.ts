import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import t from 'tap'
import { binding, POLLIN, POLLOUT, type Watcher } from '../../src/sys/binding.js'
import { cleanEnvironment, type Teardown } from '../harness/child.js'
import { within } from '../harness/timeout.js'
import { programOf, runScript } from './script.js'

const b = binding()
const byte = Buffer.from('x')

/** The loop has polled in between. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function pairFor(t: Teardown): [number, number] {
  const pair = b.socketpair()
  t.teardown(() => {
    for (const fd of pair) b.close(fd)
  })
  return pair
}

function watch(t: Teardown, fd: number, onReady: (events: number) => void): Watcher {
  const watcher = b.watch(fd, onReady)
  t.teardown(() => watcher.close())
  return watcher
}

t.test('says when there is something to read, and again until it is read', async (t) => {
  const [left, right] = pairFor(t)
  const seen: number[] = []
  const watcher = watch(t, right, (events) => seen.push(events))
  watcher.start(POLLIN)
  await turn()
  t.same(seen, [])
  b.send(left, byte, [])
  while (seen.length < 3) await turn()
  t.same(seen.slice(0, 3), [POLLIN, POLLIN, POLLIN])
  b.receive(right, Buffer.alloc(1))
  seen.length = 0
  for (let i = 0; i < 5; i += 1) await turn()
  t.same(seen, [])
})

t.test('says when it can be written, and what is watched can be changed', async (t) => {
  const [left, right] = pairFor(t)
  let wake: (events: number) => void = () => undefined
  const ready = (): Promise<number> => new Promise((resolve) => (wake = resolve))
  const watcher = watch(t, left, (events) => wake(events))
  const first = ready()
  watcher.start(POLLOUT)
  t.equal(await within(first, 'POLLOUT'), POLLOUT)
  b.send(right, byte, [])
  watcher.start(POLLIN)
  t.equal(await within(ready(), 'POLLIN'), POLLIN)
  watcher.start(POLLIN | POLLOUT)
  t.equal(await within(ready(), 'both'), POLLIN | POLLOUT)
})

t.test('a stopped watcher is silent until it is started again', async (t) => {
  const [left, right] = pairFor(t)
  let calls = 0
  const watcher = watch(t, right, () => (calls += 1))
  watcher.start(POLLIN)
  watcher.stop()
  watcher.stop()
  b.send(left, byte, [])
  for (let i = 0; i < 5; i += 1) await turn()
  t.equal(calls, 0)
  watcher.start(POLLIN)
  while (calls === 0) await turn()
  t.pass('started again')
})

t.test('closing it leaves the descriptor open, twice is once, and it starts no more', async (t) => {
  const [left, right] = pairFor(t)
  let calls = 0
  const watcher = b.watch(right, () => (calls += 1))
  watcher.start(POLLIN)
  b.send(left, byte, [])
  watcher.close()
  watcher.close()
  watcher.stop()
  watcher.ref()
  watcher.unref()
  for (let i = 0; i < 5; i += 1) await turn()
  t.equal(calls, 0)
  t.throws(() => watcher.start(POLLIN), { message: 'the watcher is closed' })
  t.equal(b.receive(right, Buffer.alloc(1))?.bytes, 1)
  // Its number is free for another watcher at once.
  const next = watch(t, right, () => (calls += 1))
  next.start(POLLIN)
  b.send(left, byte, [])
  while (calls === 0) await turn()
  t.pass('another watcher took over')
})

t.test('a watcher may close itself in its callback', async (t) => {
  const [left, right] = pairFor(t)
  let calls = 0
  const watcher = b.watch(right, () => {
    calls += 1
    watcher.close()
  })
  watcher.start(POLLIN)
  b.send(left, byte, [])
  for (let i = 0; i < 10; i += 1) await turn()
  t.equal(calls, 1)
})

t.test('an end that died with messages unread does not silence the watcher', async (t) => {
  const [left, right] = b.socketpair()
  b.send(left, Buffer.from('last words'), [])
  b.send(right, byte, [])
  b.close(left)
  const read: (number | undefined)[] = []
  // One message for each call: what is left must be announced again.
  const watcher = b.watch(right, (events) => {
    t.equal(events & POLLIN, POLLIN)
    read.push(b.receive(right, Buffer.alloc(100))?.bytes)
    if (read.at(-1) === 0) watcher.close()
  })
  watcher.start(POLLIN)
  while (read.at(-1) !== 0) await turn()
  t.same(read, [10, 0])
  b.close(right)
})

t.test('ticks and promises of a callback run before the loop goes on', async (t) => {
  const [left, right] = pairFor(t)
  const order: string[] = []
  await within(
    new Promise<void>((resolve) => {
      const watcher = watch(t, right, () => {
        watcher.stop()
        setImmediate(() => {
          order.push('immediate')
          resolve()
        })
        Promise.resolve().then(() => order.push('promise'))
        process.nextTick(() => order.push('tick'))
        order.push('callback')
      })
      watcher.start(POLLIN)
      b.send(left, byte, [])
    }),
    'the callback',
  )
  t.same(order, ['callback', 'tick', 'promise', 'immediate'])
})

t.test('two watchers of one descriptor in one loop: the second is told', async (t) => {
  const [left] = pairFor(t)
  watch(t, left, () => undefined).start(POLLIN)
  t.throws(() => b.watch(left, () => undefined).start(POLLIN), { code: 'EEXIST', syscall: /^uv_poll_/ })
})

t.test('what cannot be watched is refused', async (t) => {
  const file = openSync('package.json', 'r')
  t.throws(() => b.watch(file, () => undefined), { code: 'EPERM', syscall: 'uv_poll_init' })
  closeSync(file)
  t.throws(() => b.watch(1_000_000, () => undefined), { code: 'EBADF', syscall: 'uv_poll_init' })
})

t.test('an exception in a callback is an uncaught one, and the watcher goes on', async (t) => {
  const { said, code } = runScript(`
    const [left, right] = b.socketpair()
    process.on('uncaughtException', (error) => say(error.message))
    let calls = 0
    const watcher = b.watch(right, () => {
      b.receive(right, Buffer.alloc(1))
      if (++calls === 2) watcher.close()
      throw new Error('thrown ' + calls)
    })
    watcher.start(POLLIN)
    b.send(left, Buffer.from('x'), [])
    b.send(left, Buffer.from('x'), [])
  `)
  t.same(said, ['thrown 1', 'thrown 2'])
  t.equal(code, 0)
})

t.test('an exception nobody handles ends the process and names its line', async (t) => {
  const { code, stderr } = runScript(`
    const [left, right] = b.socketpair()
    b.watch(right, function onReadable() { throw new Error('nobody handles this') }).start(POLLIN)
    b.send(left, Buffer.from('x'), [])
  `)
  t.equal(code, 1)
  t.match(stderr, /Error: nobody handles this\s+at Watcher\.onReadable/)
})

t.test('a watcher keeps the loop alive until it is unreferenced', async (t) => {
  const program = programOf(`
    const [left, right] = b.socketpair()
    const idle = b.watch(right, () => {})
    idle.start(POLLIN)
    idle.unref()
    const pipe = b.duplicate(0)
    const watcher = b.watch(pipe, () => { say('woken'); watcher.close() })
    watcher.start(POLLIN)
    watcher.unref()
    watcher.ref()
    say('waiting')
  `)
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { env: cleanEnvironment() })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const ended = once(child, 'close')
  await within(once(child.stdout, 'data'), 'the child to wait')
  child.stdin.write('x')
  const [code] = await within(ended, 'the end: only an unreferenced watcher is left')
  t.equal(output, '"waiting"\n"woken"\n')
  t.equal(code, 0)
})

t.test('a started watcher nobody refers to is not collected; a stopped one is', async (t) => {
  const { said, code, stderr } = runScript(
    `
    const [left, right] = b.socketpair()
    const [, other] = b.socketpair()
    let called = false
    const started = (() => {
      const watcher = b.watch(right, () => { called = true; b.receive(right, Buffer.alloc(1)) })
      watcher.start(POLLIN)
      watcher.unref()
      return new WeakRef(watcher)
    })()
    const stopped = (() => {
      const watcher = b.watch(other, () => {})
      watcher.start(POLLIN)
      watcher.stop()
      return new WeakRef(watcher)
    })()
    for (let i = 0; i < 20; i++) { await turn(); globalThis.gc() }
    b.send(left, Buffer.from('x'), [])
    for (let i = 0; i < 10; i++) await turn()
    say({ called, started: started.deref() !== undefined, stopped: stopped.deref() !== undefined })
    `,
    { flags: ['--expose-gc'] },
  )
  t.same(said, [{ called: true, started: true, stopped: false }], stderr)
  t.equal(code, 0)
})

const worker = (body: string): string =>
  `import { Worker } from 'node:worker_threads'
   import { once } from 'node:events'
   const start = (workerData) => new Worker(${JSON.stringify(programOf(body))}, { eval: true, workerData })`

t.test('two worker threads use it at once', async (t) => {
  // Each echoes what it gets, 2,000 times: the threads wake each other through the kernel.
  const { said, code, stderr } = runScript(`
    ${worker(`
      import { parentPort, workerData as fd } from 'node:worker_threads'
      let count = 0
      const watcher = b.watch(fd, () => {
        const into = Buffer.alloc(10)
        const { descriptors } = b.receive(fd, into)
        count += 1
        if (count <= 2000) b.send(fd, Buffer.from('ball'), descriptors)
        for (const each of descriptors) b.close(each)
        if (count >= 2000) { watcher.close(); parentPort.postMessage(count) }
      })
      watcher.start(POLLIN)
    `)}
    const [left, right] = b.socketpair()
    const workers = [start(left), start(right)]
    const exits = workers.map((each) => once(each, 'exit'))
    b.send(left, Buffer.from('ball'), [left])
    const counts = await Promise.all(workers.map((each) => once(each, 'message')))
    const codes = await Promise.all(exits)
    say({ counts: counts.flat(), codes: codes.flat() })
  `)
  t.same(said, [{ counts: [2000, 2000], codes: [0, 0] }], stderr)
  t.equal(code, 0)
})

t.test('a worker is terminated with an active watcher, idle, busy or in its callback', async (t) => {
  const { said, code, signal, stderr } = runScript(`
    ${worker(`
      import { parentPort, workerData } from 'node:worker_threads'
      const watcher = b.watch(workerData.fd, () => {
        if (workerData.how === 'busy') parentPort.postMessage('busy')
        if (workerData.how === 'looping') { parentPort.postMessage('looping'); for (;;); }
      })
      watcher.start(POLLIN)
      const closing = b.watch(b.duplicate(workerData.fd), () => {})
      closing.start(POLLIN)
      closing.close()
      parentPort.postMessage('started')
    `)}
    for (let round = 0; round < 10; round++) {
      for (const how of ['idle', 'busy', 'looping']) {
        const [left, right] = b.socketpair()
        const worker = start({ fd: right, how })
        if (how !== 'idle') b.send(left, Buffer.from('x'), [])
        await new Promise((resolve) => worker.on('message', (word) => (how === 'idle' || word === how) && resolve()))
        await worker.terminate()
        b.send(left, Buffer.from('y'), [])
        b.close(left)
        b.close(right)
      }
    }
    say('survived')
  `)
  t.same({ said, code, signal }, { said: ['survived'], code: 0, signal: null }, stderr)
})

for (const how of ['process.exit(5)', 'process.exitCode = 5; watcher.unref()', 'b.send(left, Buffer.from("x"), [])']) {
  t.test(`the process ends with an active watcher: ${how}`, async (t) => {
    const { code, signal, stderr } = runScript(`
      const [left, right] = b.socketpair()
      const watcher = b.watch(right, () => process.exit(5))
      watcher.start(POLLIN)
      const closing = b.watch(left, () => {})
      closing.start(POLLOUT)
      closing.close()
      ${how}
    `)
    t.same({ code, signal }, { code: 5, signal: null }, stderr)
  })
}
