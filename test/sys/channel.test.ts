import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { binding } from '../../src/sys/binding.js'
import { Channel, closeAll, type Packet } from '../../src/sys/channel.js'
import { nowMs } from '../../src/sys/clock.js'
import type { Teardown } from '../harness/child.js'
import { until, within } from '../harness/timeout.js'
import { packageRoot, runScript } from '../native/script.js'
import { fill, openDescriptors, pair } from './descriptors.js'

const b = binding()
const bytes = (text: string): Buffer => Buffer.from(text)
const textOf = (packet: Packet | 'end' | 'silence'): string =>
  typeof packet === 'string' ? packet : packet.bytes.toString()

/** What a started channel has delivered so far. */
interface Heard {
  readonly texts: string[]
  readonly descriptors: number[]
  readonly ended: Promise<Error | undefined>
  ends: number
}

function hear(t: Teardown, channel: Channel, onText: (text: string) => void = () => undefined): Heard {
  let end: (error: Error | undefined) => void = () => undefined
  const heard: Heard = { texts: [], descriptors: [], ends: 0, ended: new Promise((resolve) => (end = resolve)) }
  channel.start({
    onPacket(packet) {
      heard.texts.push(textOf(packet))
      heard.descriptors.push(...packet.descriptors)
      onText(textOf(packet))
    },
    onEnd(error) {
      heard.ends++
      end(error)
    },
  })
  t.teardown(() => channel.close())
  return heard
}

function channels(t: Teardown): [Channel, Channel] {
  const both = b.socketpair().map((fd) => new Channel(fd)) as [Channel, Channel]
  t.teardown(() => {
    for (const channel of both) channel.close()
  })
  return both
}

t.test('messages in order, each with its descriptors', async (t) => {
  const [left, right] = channels(t)
  const heard = hear(t, right)
  const files = [b.memfd('one'), b.memfd('two'), b.memfd('three')]
  left.send(bytes('first'), [files[0]!])
  left.send(bytes('second'), [])
  left.send(bytes('third'), [files[1]!, files[2]!])
  await until(() => heard.texts.length === 3, 'three messages')
  t.same(heard.texts, ['first', 'second', 'third'])
  t.same(
    heard.descriptors.map((fd) => fstatSync(fd).ino),
    files.map((fd) => fstatSync(fd).ino),
  )
  closeAll([...files, ...heard.descriptors])
})

t.test('a peer that does not read: queued, in order, with descriptors the sender may close at once', async (t) => {
  const before = openDescriptors()
  const [left, right] = channels(t)
  hear(t, left)
  const file = b.memfd('file')
  const { ino } = fstatSync(file)
  const texts = Array.from({ length: 600 }, (_, index) => `${index} ${'x'.repeat(1000)}`)
  for (const [index, text] of texts.entries()) left.send(bytes(text), index % 100 === 0 ? [file] : [])
  b.close(file)
  t.ok(openDescriptors() > before + 2, 'what is queued has descriptors of its own')
  const heard = hear(t, right)
  await until(
    () => heard.texts.length === texts.length,
    () => `${heard.texts.length} of ${texts.length} messages`,
  )
  t.strictSame(heard.texts, texts)
  t.same(
    heard.descriptors.map((fd) => fstatSync(fd).ino),
    Array.from({ length: 6 }, () => ino),
  )
  closeAll(heard.descriptors)
  left.close()
  right.close()
  t.equal(openDescriptors(), before)
})

t.test('what is sent before the start, and does not fit, goes after it', async (t) => {
  const [left, right] = channels(t)
  const texts = Array.from({ length: 600 }, (_, index) => `${index} ${'x'.repeat(1000)}`)
  for (const text of texts) left.send(bytes(text), [])
  hear(t, left)
  const heard = hear(t, right)
  await until(
    () => heard.texts.length === texts.length,
    () => `${heard.texts.length} of ${texts.length} messages`,
  )
  t.strictSame(heard.texts, texts)
})

t.test('close with messages still queued closes their descriptors', async (t) => {
  const before = openDescriptors()
  const [fd, other] = pair(t)
  const channel = new Channel(fd)
  fill(fd)
  for (let index = 0; index < 10; index++) channel.send(bytes('x'), [fd, other])
  t.equal(openDescriptors(), before + 2 + 20)
  channel.close()
  channel.close()
  t.equal(openDescriptors(), before + 1)
  channel.send(bytes('x'), [other])
  t.equal(openDescriptors(), before + 1, 'a closed channel queues nothing')
})

t.test('sendBefore: false at the deadline; later everything arrives in order', async (t) => {
  const [fd, other] = pair(t)
  const left = new Channel(fd)
  const right = new Channel(other)
  const filled = fill(fd)
  left.send(bytes('queued'), [other])
  const begunMs = nowMs()
  t.equal(left.sendBefore(begunMs + 30, bytes('late'), []), false)
  t.ok(nowMs() - begunMs >= 30, 'not before it')
  t.equal(left.sendBefore(nowMs() - 1, bytes('late'), []), false, 'a deadline of the past')
  for (let index = 0; index < filled; index++) right.receiveBefore(nowMs())
  t.equal(left.sendBefore(nowMs() + 1000, bytes('next'), []), true)
  const queued = right.receiveBefore(nowMs()) as Packet
  t.equal(textOf(queued), 'queued')
  t.equal(queued.descriptors.length, 1)
  closeAll(queued.descriptors)
  t.equal(textOf(right.receiveBefore(nowMs())), 'next', 'what was not sent at its deadline is not sent later')
  t.equal(right.receiveBefore(nowMs()), 'silence')
  left.close()
  right.close()
})

t.test('receiveBefore: what is there at once, silence at the deadline, then the end', async (t) => {
  const [left, right] = channels(t)
  left.send(bytes('one'), [])
  t.equal(textOf(right.receiveBefore(nowMs() - 1)), 'one', 'what is there, even after the deadline')
  const begunMs = nowMs()
  t.equal(right.receiveBefore(begunMs + 30), 'silence')
  t.ok(nowMs() - begunMs >= 30, 'not before it')
  left.send(bytes('last'), [])
  left.close()
  t.equal(textOf(right.receiveBefore(nowMs() + 1000)), 'last')
  t.equal(right.receiveBefore(Number.POSITIVE_INFINITY), 'end')
  right.close()
  t.equal(right.receiveBefore(nowMs() + 1000), 'end', 'a closed one too')
})

t.test('end of file: told once, after the last message, and the channel is closed', async (t) => {
  const [left, right] = channels(t)
  const heard = hear(t, right)
  left.send(bytes('last'), [])
  left.close()
  t.equal(await within(heard.ended, 'the end'), undefined)
  t.same(heard.texts, ['last'])
  t.equal(heard.ends, 1)
  t.equal(right.isOpen, false)
})

t.test('sending to a peer that is gone is no error: its end of file says so', async (t) => {
  const [left, right] = channels(t)
  right.close()
  t.doesNotThrow(() => left.send(bytes('x'), []))
  t.equal(left.sendBefore(nowMs() + 1000, bytes('x'), []), true)
  t.equal(left.receiveBefore(nowMs() + 1000), 'end')
})

t.test('a peer that goes with messages unread: what it had sent is read, by the loop', async (t) => {
  const [left, right] = channels(t)
  right.send(bytes('never read'), [])
  left.send(bytes('one'), [])
  left.send(bytes('two'), [])
  left.close()
  const heard = hear(t, right)
  t.equal(await within(heard.ended, 'the end'), undefined, 'no ECONNRESET')
  t.same(heard.texts, ['one', 'two'])
})

t.test('a peer that goes with messages unread: what it had sent is read, without the loop', async (t) => {
  const [left, right] = channels(t)
  right.send(bytes('never read'), [])
  left.send(bytes('one'), [])
  left.close()
  t.equal(textOf(right.receiveBefore(nowMs())), 'one')
  t.equal(right.receiveBefore(nowMs()), 'end')
})

t.test('sendBefore after the end of file does not write into the file that has the number by now', async (t) => {
  const [fd, other] = b.socketpair()
  const channel = new Channel(fd)
  const heard = hear(t, channel)
  b.close(other)
  await within(heard.ended, 'the end')
  const path = join(tmpdir(), `handover-channel-${process.pid}`)
  const file = openSync(path, 'w')
  t.equal(file, fd, 'the number is taken again')
  t.equal(channel.sendBefore(nowMs() + 1000, bytes('x'), []), true, 'gone counts as sent')
  closeSync(file)
  t.equal(readFileSync(path, 'utf8'), '')

  const [next, peer] = b.socketpair()
  t.equal(next, fd, 'and again, by a socket that would take it')
  channel.sendBefore(nowMs() + 1000, bytes('x'), [])
  t.equal(b.receive(peer, Buffer.alloc(10)), undefined)
  closeAll([next, peer])
})

t.test('close() in the middle of a handler: nothing more is delivered, and nothing is left open', async (t) => {
  const before = openDescriptors()
  const [left, right] = channels(t)
  for (const text of ['one', 'two', 'three']) left.send(bytes(text), [])
  left.send(
    bytes('four'),
    b.socketpair().map((fd) => fd),
  )
  const heard = hear(t, right, (text) => {
    if (text === 'two') right.close()
  })
  await until(() => !right.isOpen, 'the close')
  await new Promise((resolve) => setImmediate(resolve))
  t.same(heard.texts, ['one', 'two'])
  t.equal(heard.ends, 0, 'an own close is no end')
  left.close()
  t.equal(openDescriptors(), before + 2, "the two that were sent are the sender's still")
})

t.test('a flood does not keep the loop from turning', async (t) => {
  const [left, right] = channels(t)
  for (let index = 0; index < 100; index++) left.send(bytes(String(index)), [])
  const seen = new Promise<number>((resolve) => {
    const heard = hear(t, right, (text) => {
      if (text === '0') setImmediate(() => resolve(heard.texts.length))
    })
  })
  t.ok((await within(seen, 'the first message')) < 100)
})

t.test('a channel alone does not keep a process alive after unref(), and does before', async (t) => {
  const script = (words: string): string => `
    const { Channel } = await import('${packageRoot}dist/src/sys/channel.js')
    const [left, right] = b.socketpair()
    const channel = new Channel(left)
    channel.start({ onPacket: () => { say('heard'); channel.close() }, onEnd: () => say('end') })
    ${words}`
  t.same(runScript(script('channel.unref()')).said, [])
  t.same(
    runScript(script('channel.unref(); channel.ref(); setImmediate(() => b.send(right, Buffer.of(1), []))')).said,
    ['heard'],
  )
})

const notRoot = process.getuid?.() !== 0 && 'only root can become somebody else'

t.test(
  'the kernel refuses what was queued: the end of the channel, not of the process',
  { skip: notRoot },
  async (t) => {
    const { said, stderr } = runScript(`
    const { Channel } = await import('${packageRoot}dist/src/sys/channel.js')
    process.setgroups([]); process.setgid(65534); process.setuid(65534)
    const [hold, held] = b.socketpair()
    const [left, right] = b.socketpair()
    const channel = new Channel(left)
    channel.start({ onPacket: () => {}, onEnd: (error) => { say([error.code, channel.isOpen]) } })
    while (b.send(left, Buffer.alloc(1000), [])) {}
    channel.send(Buffer.from('queued'), [left])
    b.setDescriptorLimit(64)
    try { for (;;) b.send(hold, Buffer.from('in flight'), Array.from({ length: 100 }, () => hold)) } catch {}
    while (b.receive(right, Buffer.alloc(1000))) {}
  `)
    t.same(said, [['ETOOMANYREFS', false]], stderr)
  },
)
