/** A connection within the test. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Teardown } from './child.js'
import { within } from './timeout.js'

/** Both ends of a TCP connection; nobody reads. */
export async function tcpPair(t: Teardown): Promise<{ client: Socket; server: Socket }> {
  const listener = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const client = connect((listener.address() as AddressInfo).port, '127.0.0.1')
  const [server] = (await within(once(listener, 'connection'), 'a connection')) as [Socket]
  client.on('error', () => undefined)
  t.teardown(() => {
    client.destroy()
    server.destroy()
    listener.close()
  })
  return { client, server }
}
