/** A socket that has moved and not been used since, moved again. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { fromRow } from '../../src/adapters/net/record.js'
import { netTransport } from '../../src/adapters/net.js'
import { binding } from '../../src/sys/binding.js'
import { descriptorOf } from '../../src/sys/node-internals.js'
import { Parking } from '../../src/sys/parking.js'

const ignore = () => undefined

async function connection(t: Test): Promise<{ client: Socket; socket: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.teardown(() => {
    client.destroy()
    socket.destroy()
  })
  return { client, socket }
}

t.test('its idle timer goes on, and what comes next is read', async (t) => {
  const { client, socket } = await connection(t)
  socket.setTimeout(60_000)
  const { described } = netTransport.beginFreeze().describe(socket)
  const { idleAtMs } = fromRow(described)
  const parking = new Parking()
  const adopted = netTransport.adopt(binding().duplicate(descriptorOf(socket)!), described, parking)
  adopted.prepare()
  t.throws(() => netTransport.describe(adopted.socket), { code: 'HANDOVER_NOT_MOVABLE', message: /still connecting/ })
  parking.goLive(ignore)
  const again = fromRow(netTransport.describe(adopted.socket).described)
  t.equal(again.timeoutMs, 60_000)
  t.ok(Math.abs(again.idleAtMs! - idleAtMs!) < 1_000, `${again.idleAtMs} after ${idleAtMs}`)
  // Node reads ahead of a paused socket: only one process may have it, and here it is the same.
  socket.destroy()
  client.write('on')
  const [bytes] = (await once(adopted.socket, 'data')) as [Buffer]
  t.equal(bytes.toString(), 'on')
  adopted.socket.destroy()
})
