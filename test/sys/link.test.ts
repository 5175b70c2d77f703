import { openSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { HandoverError } from '../../src/errors.js'
import { binding } from '../../src/sys/binding.js'
import { closeAll } from '../../src/sys/channel.js'
import { nowMs } from '../../src/sys/clock.js'
import { Link } from '../../src/sys/link.js'
import { writeSealed } from '../../src/sys/memfd.js'
import { encodeBody } from '../../src/wire/codec.js'
import { HEADER_BYTES, type Header, MAX_INLINE_BYTES, writeHeader } from '../../src/wire/frame.js'
import { TRANSFER, type TransferMessage } from '../../src/wire/messages.js'
import type { SessionRecord } from '../../src/wire/session-record.js'
import type { Teardown } from '../harness/child.js'
import { until, within } from '../harness/timeout.js'
import { fill, openDescriptors, pair } from './descriptors.js'

const b = binding()

type TransferLink = Link<typeof TRANSFER>

interface Heard {
  readonly messages: TransferMessage[]
  readonly ended: Promise<HandoverError | undefined>
}

function hear(link: TransferLink, onMessage: (message: TransferMessage) => void = () => undefined): Heard {
  let end: (error: HandoverError | undefined) => void = () => undefined
  const heard: Heard = { messages: [], ended: new Promise((resolve) => (end = resolve)) }
  link.start({
    onMessage(message) {
      heard.messages.push(message)
      onMessage(message)
    },
    onEnd: end,
  })
  return heard
}

/** The predecessor's end and the successor's. */
function links(t: Teardown): [TransferLink, TransferLink] {
  const [left, right] = b.socketpair()
  const both: [TransferLink, TransferLink] = [
    new Link(left, TRANSFER, 'successor'),
    new Link(right, TRANSFER, 'predecessor'),
  ]
  t.teardown(() => {
    for (const link of both) link.close()
  })
  return both
}

const record = (state: Uint8Array): SessionRecord => [1, 0, state, 0, null]

for (const size of [10, MAX_INLINE_BYTES - 100, MAX_INLINE_BYTES + 1, 3_000_000]) {
  t.test(`a message of ${size} bytes with its descriptors, and none of them left`, async (t) => {
    const before = openDescriptors()
    const [predecessor, successor] = links(t)
    const heard = hear(successor)
    const state = Buffer.alloc(size, 'state ')
    const file = writeSealed(Buffer.from('session'))
    predecessor.send('batch', { index: 0, sessions: [record(state), record(state.subarray(0, 3))] }, [file, file])
    predecessor.send('commit', {})
    b.close(file)
    await until(() => heard.messages.length === 2, 'two messages')
    const [batch] = heard.messages
    if (batch?.kind !== 'batch') return t.fail(`${batch?.kind} came`)
    t.ok(state.equals(batch.fields.sessions[0]![2]!))
    t.equal(batch.descriptors.length, 2, 'the memfd is not among them')
    closeAll(batch.descriptors)
    predecessor.close()
    successor.close()
    t.equal(openDescriptors(), before)
  })
}

t.test('without the loop too, and the words for what is no message', async (t) => {
  const [predecessor, successor] = links(t)
  t.equal(
    predecessor.sendBefore(nowMs() + 1000, 'state', { name: 'rooms', bytes: Buffer.alloc(100_000), checksum: 0 }),
    true,
  )
  const message = successor.receiveBefore(nowMs() + 1000)
  t.equal(message.kind, 'state')
  t.match(successor.receiveBefore(nowMs() + 20), { kind: 'silence', reason: 'the predecessor did not answer in time' })
  predecessor.close()
  t.match(successor.receiveBefore(nowMs() + 1000), { kind: 'eof', reason: 'the predecessor closed its channel' })
})

t.test('what was not sent at its deadline leaves no gap in the sequence', async (t) => {
  const [fd, other] = pair(t)
  const predecessor: TransferLink = new Link(fd, TRANSFER, 'successor')
  const successor: TransferLink = new Link(other, TRANSFER, 'predecessor')
  const junk = fill(fd)
  t.equal(predecessor.sendBefore(nowMs() + 10, 'commit', {}), false)
  t.equal(
    predecessor.sendBefore(nowMs() + 10, 'state', { name: 'x', bytes: Buffer.alloc(100_000), checksum: 0 }),
    false,
  )
  for (let index = 0; index < junk; index++) b.receive(other, Buffer.alloc(1000))
  predecessor.send('abort', { reasons: [] })
  t.equal(successor.receiveBefore(nowMs()).kind, 'abort')
  predecessor.close()
  successor.close()
})

t.test('close() in the middle of a handler', async (t) => {
  const [predecessor, successor] = links(t)
  const heard = hear(successor, () => successor.close())
  predecessor.send('commit', {})
  predecessor.send('commit', {})
  await until(() => !successor.isOpen, 'the close')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(heard.messages.length, 1)
  t.match(predecessor.receiveBefore(nowMs() + 1000), { kind: 'eof' })
})

interface Raw {
  readonly why: RegExp
  /** Sends something through the raw socket; what it opens it closes. */
  readonly send: (fd: number) => void
}

const body = encodeBody<typeof TRANSFER, 'state'>('state', { name: 'rooms', bytes: Buffer.alloc(100), checksum: 0 })
const commit = encodeBody<typeof TRANSFER, 'commit'>('commit', {})

function framed(content: Buffer, header: Partial<Header> = {}): Buffer {
  const message = Buffer.alloc(HEADER_BYTES)
  writeHeader(message, { external: false, descriptors: 0, sequence: 0, length: content.length, ...header })
  return header.external ? message : Buffer.concat([message, content])
}

/** Sends the body in a file, as a memfd would be. */
function sendIn(fd: number, open: () => number, header: Partial<Header> = {}, more: readonly number[] = []): void {
  const file = open()
  b.send(fd, framed(body, { external: true, descriptors: more.length, ...header }), [file, ...more])
  b.close(file)
}

function unsealed(): number {
  const fd = b.memfd('unsealed')
  writeFileSync(fd, body)
  return fd
}

const INVALID: Record<string, Raw> = {
  'random bytes': { why: /HNDO/, send: (fd) => void b.send(fd, Buffer.alloc(100, 7), [fd, fd]) },
  'half a header': { why: /header alone/, send: (fd) => void b.send(fd, framed(commit).subarray(0, 7), []) },
  'a sequence number that is not the next': {
    why: /sequence number is 1, expected 0/,
    send: (fd) => void b.send(fd, framed(commit, { sequence: 1 }), []),
  },
  'descriptors nobody mentioned': {
    why: /names 0, but 3 descriptors came/,
    send: (fd) => void b.send(fd, framed(commit), [fd, fd, fd]),
  },
  'descriptors the kind does not have': {
    why: /"commit" needs 0 descriptors, 2 came/,
    send: (fd) => void b.send(fd, framed(commit, { descriptors: 2 }), [fd, fd]),
  },
  'a body that is no CBOR': { why: /CBOR/, send: (fd) => void b.send(fd, framed(Buffer.of(0xff)), []) },
  'a message of the wrong side': {
    why: /predecessor may not send a message of kind "active"/,
    send: (fd) => void b.send(fd, framed(encodeBody<typeof TRANSFER, 'active'>('active', {})), []),
  },
  'a body in a memfd without seals': { why: /file without seals/, send: (fd) => sendIn(fd, unsealed) },
  'a body in a memfd without seals, and more descriptors': {
    why: /file without seals/,
    send: (fd) => sendIn(fd, unsealed, { descriptors: 2 }, [fd, fd]),
  },
  'a body in a plain file': {
    why: /file without seals/,
    send: (fd) => sendIn(fd, () => openSync('/proc/self/exe', 'r')),
  },
  'a memfd of another length': {
    why: /came in a memfd of \d+/,
    send: (fd) => sendIn(fd, () => writeSealed(Buffer.concat([body, body]))),
  },
  'a memfd with nonsense': {
    why: /CBOR/,
    send: (fd) => sendIn(fd, () => writeSealed(Buffer.alloc(body.length, 0xff))),
  },
  'a memfd, and descriptors the kind does not have': {
    why: /"state" needs 0 descriptors, 1 came/,
    send: (fd) => sendIn(fd, () => writeSealed(body), {}, [fd]),
  },
  'a memfd that did not come': {
    why: /and a memfd, but 0 descriptors came/,
    send: (fd) => void b.send(fd, framed(body, { external: true }), []),
  },
}

for (const [name, { why, send }] of Object.entries(INVALID)) {
  t.test(`${name}: the link is closed and every descriptor of the message`, async (t) => {
    const before = openDescriptors()
    const [fd, other] = b.socketpair()
    const link: TransferLink = new Link(other, TRANSFER, 'predecessor')
    send(fd)
    b.send(fd, framed(commit, { sequence: 1 }), [])
    const heard = hear(link)
    refusal(t, await within(heard.ended, 'the end'), why)
    t.same(heard.messages, [])
    t.equal(link.isOpen, false)
    t.equal(openDescriptors(), before + 1, 'only the other end is open')
    b.close(fd)
  })

  t.test(`${name}, without the loop: said so, and every descriptor of the message is closed`, async (t) => {
    const before = openDescriptors()
    const [fd, other] = b.socketpair()
    const link: TransferLink = new Link(other, TRANSFER, 'predecessor')
    send(fd)
    t.match(link.receiveBefore(nowMs()), { kind: 'invalid', reason: why })
    t.equal(openDescriptors(), before + 2)
    link.close()
    b.close(fd)
  })
}

function refusal(t: Test, error: HandoverError | undefined, why: RegExp): void {
  t.match(error, { name: 'HandoverError', code: 'HANDOVER_MESSAGE_INVALID', message: why })
}

t.test('a valid message, then an invalid one: the first is delivered', async (t) => {
  const [fd, other] = pair(t)
  const link: TransferLink = new Link(other, TRANSFER, 'predecessor')
  const heard = hear(link)
  b.send(fd, framed(commit), [])
  b.send(fd, framed(commit), [])
  refusal(t, await within(heard.ended, 'the end'), /sequence number is 0, expected 1/)
  t.same(
    heard.messages.map(({ kind }) => kind),
    ['commit'],
  )
})

for (const counted of [0, 1]) {
  t.test(`the word behind what is no frame is understood, counted by the peer or not: ${counted}`, (t) => {
    const [fd, other] = pair(t)
    const link: TransferLink = new Link(other, TRANSFER, 'predecessor')
    t.teardown(() => link.close())
    b.send(fd, Buffer.from('garbage'), [])
    b.send(fd, framed(commit, { sequence: counted }), [])
    b.send(fd, framed(commit, { sequence: counted }), [])
    t.equal(link.receiveBefore(nowMs()).kind, 'invalid')
    t.equal(link.receiveBefore(nowMs()).kind, 'commit')
    t.match(
      link.receiveBefore(nowMs()),
      { kind: 'invalid', reason: /sequence number/ },
      'and the row goes on from there',
    )
    t.end()
  })
}
