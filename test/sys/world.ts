import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { HeldSocket } from '../../src/adapters/net/held.js'
import { netTransport } from '../../src/adapters/net.js'
import { binding } from '../../src/sys/binding.js'
import { Parking } from '../../src/sys/parking.js'

const b = binding()
const ignore = () => undefined

export interface World {
  readonly client: Socket
  /** The predecessor's socket. Nobody reads it but by `setUp`. */
  readonly before: Socket
  readonly parking: Parking
  /** Moves it: held from then on. */
  adopt(prepared?: boolean): HeldSocket
  live(): void
}

let paths = 0

export async function world(t: Test, type: 'TCP' | 'Pipe' = 'TCP', allowHalfOpen = false): Promise<World> {
  const path = `\0handover-adopted-${process.pid}-${++paths}`
  const server = createServer({ allowHalfOpen })
  if (type === 'TCP') server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  const client = type === 'TCP' ? connect((server.address() as AddressInfo).port, '127.0.0.1') : connect(path)
  client.on('error', ignore)
  const [before] = (await once(server, 'connection')) as [Socket]
  server.close()
  netTransport.attach(before)
  const parking = new Parking()
  const adopted: HeldSocket[] = []
  t.teardown(async () => {
    for (const one of adopted) one.discard()
    before.destroy()
    client.destroy()
    parking.close()
  })
  return {
    client,
    before,
    parking,
    adopt(prepared = true) {
      const freeze = netTransport.beginFreeze()
      const { descriptor, described } = freeze.describe(before)
      const one = netTransport.adopt(b.duplicate(descriptor), described, parking) as HeldSocket
      adopted.push(one)
      freeze.abandon(before)
      if (prepared) one.prepare()
      return one
    },
    live: () => parking.goLive(ignore),
  }
}
