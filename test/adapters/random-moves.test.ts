/**
 * Connections that are used at random, by both ends, before they are copied, between copy and freeze, while they are held and
 * right after commit, three generations long. Every byte is the one that was due: the seed says how to play it again.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import type { HeldSocket } from '../../src/adapters/net/held.js'
import { netTransport } from '../../src/adapters/net.js'
import { binding } from '../../src/sys/binding.js'
import { Parking } from '../../src/sys/parking.js'
import { explain, firstWrong, keyOf, keystream } from '../harness/keystream.js'
import { scaled, until } from '../harness/timeout.js'
import { Random } from '../soak/random.js'
import { openDescriptors } from '../sys/descriptors.js'

t.setTimeout(scaled(110_000))

const RUNS = 60
const GENERATIONS = 3
const SIZES = [1, 7, 1000, 70_000, 400_000]
/** One character a byte: with others a read of some characters may end within one. */
const ENCODINGS = [undefined, undefined, 'latin1'] as const
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** One end: what it writes goes on where it stopped, what it reads is compared. */
class End {
  socket: Socket
  sent = 0
  received = 0
  wrong = ''
  readonly #encoding: BufferEncoding | undefined
  readonly #out: number
  readonly #in: number
  #last: Buffer = Buffer.alloc(0)

  constructor(socket: Socket, out: number, into: number, encoding: BufferEncoding | undefined) {
    this.socket = socket
    this.#out = out
    this.#in = into
    this.#encoding = encoding
    this.listen(socket)
  }

  /** As an app's restore does. */
  listen(socket: Socket): void {
    this.socket = socket
    this.#last = Buffer.alloc(0)
    if (this.#encoding !== undefined) socket.setEncoding(this.#encoding)
    socket.on('data', (chunk: Buffer | string) => {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, this.#encoding) : chunk
      if (firstWrong(this.#in, this.received, bytes) !== -1) this.wrong ||= explain(this.#in, this.received, bytes)
      this.received += bytes.length
      this.#last = bytes
    })
    socket.on('error', (error) => {
      this.wrong ||= error.message
    })
  }

  write(length: number): void {
    const bytes = keystream(this.#out, this.sent, length)
    this.sent += length
    if (length % 2 === 0) this.socket.write(bytes)
    else this.socket.write(bytes.toString('latin1'), 'latin1')
  }

  /** Gives back some of what it has read last. */
  unshift(most: number): void {
    if (this.#encoding !== undefined || this.#last.length === 0) return
    const back = this.#last.subarray(-most)
    this.#last = Buffer.alloc(0)
    this.received -= back.length
    this.socket.unshift(back)
  }
}

const ACTIONS = ['write', 'write', 'cork', 'pause', 'resume', 'unshift', 'read', 'timeout', 'options', 'ref'] as const

function act(end: End, pick: <T>(from: readonly T[]) => T): string {
  const action = pick(ACTIONS)
  const size = pick(SIZES)
  const { socket } = end
  if (action === 'write') end.write(size)
  else if (action === 'unshift') end.unshift(size)
  else if (action === 'read') socket.read(Math.min(size, socket.readableLength) || 0)
  else if (action === 'timeout') socket.setTimeout(pick([0, 60_000, 60_000.5]))
  else if (action === 'options') socket.setNoDelay(pick([true, false])).setKeepAlive(pick([true, false]), 5000)
  else if (action === 'ref') socket.unref().ref()
  else if (action === 'cork') {
    socket.cork()
    end.write(size)
    end.write(1)
    // Left open, sometimes: what moves is not corked any more.
    if (pick([true, false])) socket.uncork()
  } else socket[action]()
  return `${action} ${size}`
}

async function play(server: Server, seed: number): Promise<string> {
  const random = new Random(seed)
  const pick = <T>(from: readonly T[]): T => random.of(from)
  const story: string[] = []
  const accepted = once(server, 'connection')
  const client = new End(
    connect((server.address() as AddressInfo).port, '127.0.0.1'),
    keyOf(seed, 'up'),
    keyOf(seed, 'down'),
    undefined,
  )
  const [socket] = (await accepted) as [Socket]
  netTransport.attach(socket)
  const app = new End(socket, keyOf(seed, 'down'), keyOf(seed, 'up'), pick(ENCODINGS))
  const some = async (when: string, on: readonly End[], mayWait: boolean): Promise<void> => {
    for (let count = pick([0, 1, 2, 4, 8]); count > 0; count--) {
      const end = pick(on)
      story.push(`${when}: ${end === app ? 'app' : 'client'} ${act(end, pick)}`)
      if (mayWait && pick([true, false])) await turn()
    }
  }
  const both = [app, client]
  for (let generation = 1; generation <= GENERATIONS; generation++) {
    await some(`${generation} before`, both, true)
    const before = app.socket
    const parking = new Parking()
    const isEarly = pick([true, false])
    const first = netTransport.describe(before)
    const held = netTransport.adopt(binding().duplicate(first.descriptor), first.described, parking) as HeldSocket
    let early: Socket | undefined
    const restore = () => {
      held.prepare()
      early = held.socket
      if (pick([true, false])) void held.socket.localPort
      if (pick([true, false])) held.socket.setNoDelay(true)
    }
    if (isEarly) restore()
    await some(`${generation} between`, both, true)
    const freeze = netTransport.beginFreeze()
    held.update(freeze.describe(before).described, early !== undefined)
    if (early === undefined) restore()
    if (pick([true, false])) held.attach()
    // What it has seen is the state; from here on the next one goes on with it.
    app.listen(held.socket)
    story.push(`${generation} commit, ${isEarly ? 'early' : 'late'}`)
    if (pick([true, false])) await some(`${generation} held`, [app], false)
    freeze.abandon(before)
    parking.goLive(() => undefined)
    await some(`${generation} live`, both, false)
    if (pick([true, false])) await turn()
  }
  while (app.socket.writableCorked > 0) app.socket.uncork()
  while (client.socket.writableCorked > 0) client.socket.uncork()
  for (const { socket } of both) socket.resume()
  const isAll = () =>
    both.some(({ wrong }) => wrong !== '') || (app.received === client.sent && client.received === app.sent)
  const counts = () =>
    `seed ${seed}: up ${app.received} of ${client.sent}, down ${client.received} of ${app.sent}\n${story.join('\n')}`
  await until(isAll, counts)
  const wrong = both.map(({ wrong }) => wrong).find((wrong) => wrong !== '')
  const { bytesRead, bytesWritten } = app.socket
  const isCounted = bytesRead === app.received && bytesWritten === app.sent
  client.socket.end()
  await Promise.all(both.map(({ socket }) => socket.destroyed || once(socket, 'close')))
  if (wrong !== undefined) return `${wrong}, ${counts()}`
  return isCounted ? '' : `counted ${bytesRead} and ${bytesWritten}, ${counts()}`
}

t.test('random uses, random moments', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const first = Number(process.env['HANDOVER_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))
  t.comment(`HANDOVER_TEST_SEED=${first}`)
  await play(server, first)
  const before = openDescriptors()
  for (let seed = first; seed < first + RUNS; seed++) t.equal(await play(server, seed), '', `seed ${seed}`)
  await until(
    () => openDescriptors() === before,
    () => `${openDescriptors()} descriptors, there were ${before}`,
  )
})
