/** Real sockets, held in an epoll set until commit. */
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { binding } from '../../src/sys/binding.js'
import { type Parked, Parking } from '../../src/sys/parking.js'
import { until } from '../harness/timeout.js'
import { openDescriptors } from './descriptors.js'

const b = binding()
const ignore = () => undefined

/** Connections: the clients' ends, and descriptors of the servers' ends that nobody else reads. */
async function connections(t: Test, count: number): Promise<{ clients: Socket[]; fds: number[] }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clients: Socket[] = []
  const fds: number[] = []
  while (clients.length < count) {
    const accepted = once(server, 'connection')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
    const [socket] = (await accepted) as [Socket & { _handle: { fd: number } }]
    clients.push(client)
    fds.push(b.duplicate(socket._handle.fd))
    socket.destroy()
  }
  server.close()
  t.teardown(() => {
    for (const client of clients) client.destroy()
    for (const fd of fds) b.close(fd)
  })
  return { clients, fds }
}

/** Parks all, and tells who wakes, in order. A wake leaves, as the owner of a socket does. */
function parked(fds: readonly number[]): { parking: Parking; ones: Parked[]; woken: number[]; turns: number[] } {
  const parking = new Parking()
  const woken: number[] = []
  const turns: number[] = []
  let turn = 0
  const count = (): void => {
    turn++
    setImmediate(count).unref()
  }
  count()
  const ones = fds.map((descriptor, index): Parked => {
    const one = {
      descriptor,
      release: () => {
        parking.leave(one)
        woken.push(index)
        turns.push(turn)
        // As long as it takes to make a socket ready to be read, on a slow day: a slice holds few of them.
        for (const from = performance.now(); performance.now() - from < 0.2; );
      },
    }
    parking.park(one)
    return one
  })
  return { parking, ones, woken, turns }
}

const all = (woken: number[], count: number): Promise<void> =>
  until(
    () => woken.length === count,
    () => `${count} to wake, ${woken.length} did`,
  )

t.test('nobody wakes before commit, whatever comes; then everybody does, once, in slices', async (t) => {
  const { clients, fds } = await connections(t, 50)
  const { parking, woken, turns } = parked(fds)
  clients[7]!.write('early')
  await until(() => b.queueSizes(fds[7]!).receive === 5, 'the bytes to come')
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.same(woken, [])
  t.equal(parking.isLive, false)
  parking.goLive(ignore)
  t.equal(parking.isLive, true)
  t.same(woken, [], 'not in the turn of the commit itself')
  await all(woken, 50)
  t.same(
    [...woken].sort((one, other) => one - other),
    [...fds.keys()],
  )
  t.ok(new Set(turns).size > 5, `the loop turned between them: ${new Set(turns).size} slices`)
})

t.test('who is wanted wakes in the turn of the commit, unless it has left', async (t) => {
  const { fds } = await connections(t, 4)
  const { parking, ones, woken } = parked(fds)
  for (const index of [2, 0, 3, 2]) parking.want(ones[index]!)
  parking.leave(ones[3]!)
  parking.want(ones[3]!)
  let released = 0
  parking.goLive(() => released++)
  t.same(woken, [2, 0])
  t.equal(released, 2)
  await all(woken, 3)
})

t.test('those that can be read wake before those that cannot', async (t) => {
  const { clients, fds } = await connections(t, 60)
  const { parking, woken } = parked(fds)
  clients[55]!.write('x')
  clients[57]!.end()
  clients[59]!.resetAndDestroy()
  await until(
    () =>
      b
        .poll(
          fds,
          fds.map(() => 1),
          0,
        )
        .filter((events) => events !== 0).length === 3,
    'three to be ready',
  )
  parking.goLive(ignore)
  await all(woken, 60)
  for (const index of [55, 57, 59]) t.ok(woken.indexOf(index) < 30, `${index} woke as number ${woken.indexOf(index)}`)
})

t.test('what becomes readable after commit wakes at once', async (t) => {
  const { clients, fds } = await connections(t, 200)
  const { parking, woken } = parked(fds)
  parking.goLive(ignore)
  clients[199]!.write('x')
  await all(woken, 200)
  t.ok(woken.indexOf(199) < 199, `it woke as number ${woken.indexOf(199)}`)
})

t.test('who has left is not woken, and may be closed', async (t) => {
  const { clients, fds } = await connections(t, 3)
  const { parking, ones, woken } = parked(fds)
  clients[0]!.write('x')
  parking.leave(ones[0]!)
  parking.leave(ones[0]!)
  parking.goLive(ignore)
  await all(woken, 2)
  t.same([...woken].sort(), [1, 2])
})

t.test('who has left is not in the set any more: its readiness would wake us for ever', async (t) => {
  const { fds } = await connections(t, 3)
  const sets = (): number[] =>
    readdirSync('/proc/self/fd').flatMap((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`) === 'anon_inode:[eventpoll]' ? [Number(name)] : []
      } catch {
        return []
      }
    })
  const before = sets()
  const { parking, ones } = parked(fds)
  // The set, and the one it is watched through.
  const [set] = sets()
    .filter((fd) => !before.includes(fd))
    .sort((one, other) => one - other)
  const members = (): number[] =>
    [...readFileSync(`/proc/self/fdinfo/${set}`, 'latin1').matchAll(/^tfd: +(\d+)/gm)].map(([, fd]) => Number(fd))
  t.same(
    members().sort((one, other) => one - other),
    fds,
  )
  parking.leave(ones[1]!)
  t.same(
    members().sort((one, other) => one - other),
    [fds[0], fds[2]],
  )
  parking.close()
})

t.test('who leaves while others are woken', async (t) => {
  const { clients, fds } = await connections(t, 3)
  const parking = new Parking()
  const woken: number[] = []
  const ones = fds.map(
    (descriptor, index): Parked => ({
      descriptor,
      release: () => {
        for (const each of ones) parking.leave(each)
        woken.push(index)
      },
    }),
  )
  for (const one of ones) parking.park(one)
  for (const client of clients) client.write('x')
  await until(
    () =>
      b
        .poll(
          fds,
          fds.map(() => 1),
          0,
        )
        .every((events) => events !== 0),
    'all to be ready',
  )
  const before = openDescriptors()
  parking.goLive(ignore)
  await until(() => openDescriptors() < before, 'the set to be closed')
  t.equal(woken.length, 1)
})

t.test('nothing stays open: after all are woken, closed before commit, or with nobody in it', async (t) => {
  const { fds } = await connections(t, 5)
  const before = openDescriptors()
  const { parking, woken } = parked(fds)
  t.equal(openDescriptors(), before + 2)
  parking.goLive(ignore)
  await all(woken, 5)
  await until(() => openDescriptors() === before, 'the set to be closed')

  const aborted = parked(fds)
  aborted.parking.close()
  aborted.parking.close()
  for (const one of aborted.ones) aborted.parking.leave(one)
  t.equal(openDescriptors(), before)

  const empty = new Parking()
  empty.goLive(ignore)
  await until(() => openDescriptors() === before, 'the empty set to be closed')
  t.same(aborted.woken, [])
})
