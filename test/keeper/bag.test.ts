/** Bags: all that goes in comes out, whatever the order of things; and what is in one that cannot be read is closed. */
import t, { type Test } from 'tap'
import { pack, unpack } from '../../src/keeper/bag.js'
import { EscrowIntake } from '../../src/keeper/escrow.js'
import { Kept } from '../../src/keeper/kept.js'
import { binding } from '../../src/sys/binding.js'
import { Link } from '../../src/sys/link.js'
import { BAG } from '../../src/wire/bag.js'
import { tcpPair } from '../harness/tcp-pair.js'
import { openDescriptors, pair } from '../sys/descriptors.js'

/** Its end of a stream whose other end is the caller's. */
function session(t: Test, of: Partial<Parameters<Kept['add']>[1]> = {}) {
  const [descriptor, other] = pair(t)
  const rest = { kind: 'chat', version: 2, state: Buffer.from('state'), checksum: 7, socket: [1, 'x'] }
  return { other, session: { ...rest, descriptor: binding().duplicate(descriptor), ...of } }
}

t.test('what was kept is kept again: sessions, state, ids', async (t) => {
  const before = openDescriptors()
  const first = new Kept()
  const cookies = new Map<number, bigint>()
  for (let id = 1; id <= 1_000; id++) {
    const one = binding().socketpair()
    cookies.set(id, binding().socketCookie(one[0]))
    first.add(id, {
      kind: id % 2 === 0 ? 'even' : 'odd',
      version: 1,
      state: Buffer.alloc(400, id),
      checksum: id,
      socket: [id],
      descriptor: one[0],
    })
    binding().close(one[1])
  }
  first.states.set('rooms', { name: 'rooms', version: 3, optional: true, bytes: Buffer.from([0xa0]), checksum: 1 })
  first.nextId = 5_000
  const bags = pack(first)
  t.ok(bags.length > 1, `${bags.length} bags`)
  t.equal(
    bags.reduce((sum, { sessions }) => sum + sessions, 0),
    1_000,
  )
  first.clear()
  const second = new Kept()
  // In any order: each can be read by itself.
  for (const { descriptor } of bags.toReversed()) t.same(unpack(second, descriptor), [])
  t.equal(second.sessions.size, 1_000)
  t.equal(second.nextId, 5_000)
  t.match(second.states.get('rooms'), { version: 3, optional: true, bytes: Buffer.from([0xa0]) })
  for (const [id, one] of second.sessions) {
    t.equal(binding().socketCookie(one.descriptor), cookies.get(id))
    t.match(one, { kind: id % 2 === 0 ? 'even' : 'odd', checksum: id, socket: [id] })
    t.same(Buffer.from(one.state as Uint8Array), Buffer.alloc(400, id))
  }
  second.clear()
  t.equal(openDescriptors(), before)
})

t.test('two of one id, two versions of one kind, two of one state', async (t) => {
  const before = openDescriptors()
  const [one, two, other] = [new Kept(), new Kept(), new Kept()]
  for (const kept of [one, two, other]) {
    kept.add(1, session(t, kept === other ? { version: 3 } : {}).session)
    kept.states.set('rooms', { name: 'rooms', version: 1, optional: false, bytes: Buffer.from([1]), checksum: 1 })
  }
  const all = new Kept()
  const reasons = [one, two, other].flatMap((kept) => pack(kept).flatMap(({ descriptor }) => unpack(all, descriptor)))
  t.same([...all.sessions.keys()], [1, 2], 'it has another id')
  t.match(reasons, [
    { reason: /shared state rooms is another worker's/ },
    { reason: /shared state rooms/ },
    { reason: /session 1: chat is there in version 2, this one is of version 3/ },
  ])
  for (const kept of [one, two, other, all]) kept.clear()
  t.equal(openDescriptors() - before, 6, 'those of the test')
})

t.test('one that cannot be read is said to be lost, and all in it is closed', async (t) => {
  const cases: [string, (link: Link<typeof BAG>) => void, RegExp][] = [
    ['empty', () => undefined, /does not begin with its contents/],
    ['a later format', (link) => link.send('contents', { format: 2, kinds: [], nextId: 1 }), /format is 2/],
    [
      'a kind that is not named',
      (link) => {
        link.send('contents', { format: 1, kinds: [], nextId: 1 })
        const { session: one } = session(t)
        link.send('sessions', { sessions: [[1, 0, one.state, one.checksum, one.socket]] }, [one.descriptor])
        binding().close(one.descriptor)
      },
      /of no known kind/,
    ],
    [
      'a session without its state',
      (link) => {
        link.send('contents', { format: 1, kinds: [{ name: 'chat', version: 1 }], nextId: 1 })
        const { session: one } = session(t)
        link.send('sessions', { sessions: [[1, 0, null, 0, one.socket]] }, [one.descriptor])
        binding().close(one.descriptor)
      },
      /without its state/,
    ],
  ]
  for (const [what, write, why] of cases) {
    const [ours, theirs] = binding().socketpair()
    const link = new Link(ours, BAG, 'keeper')
    write(link)
    link.close()
    const before = openDescriptors()
    const kept = new Kept()
    t.match(unpack(kept, theirs), [{ reason: why }], what)
    t.equal(kept.sessions.size, 0)
    t.equal(openDescriptors(), before - 1, 'the bag itself')
  }
})

t.test('an escrow keeps what is exact: nothing read, nothing written since', async (t) => {
  const kept = new Kept()
  const intake = new EscrowIntake(kept)
  const sink = intake.sink(() => undefined)
  const choice = { name: 'chat', version: 1 }
  const made = await Promise.all(Array.from({ length: 4 }, () => tcpPair(t)))
  for (const [id, { server }] of made.entries()) {
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    const { read, written } = binding().streamPosition(fd)
    sink.adopt(choice, [id, 0, Buffer.from('a'), 1, ['described', read, written]], binding().duplicate(fd))
  }
  const [quiet, told, heard, waiting] = made
  t.equal(intake.count(), 0)
  t.equal(quiet?.server.destroyed, false)
  told?.server.write('x')
  const read = new Promise((resolve) => heard?.server.once('data', resolve))
  heard?.server.resume()
  heard?.client.write('x')
  await read
  // It has come, and nobody has read it.
  waiting?.client.write('x')
  sink.discard()
  t.equal(intake.settle(), 2)
  t.same([...kept.sessions.keys()], [0, 3])
  t.match(kept.sessions.get(0), { socket: 'described' })
  t.throws(() => sink.adopt(choice, [9, 0, Buffer.from('a'), 1, ['no position']], session(t).session.descriptor), {
    name: 'Error',
    message: /where its connection is/,
  })
  kept.clear()
})
