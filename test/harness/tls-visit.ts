/** One request over a connection of its own: whether the server resumed the session it was offered, and what it gave. */
import { once } from 'node:events'
import type { ConnectionOptions } from 'node:tls'
import { until, within } from './timeout.js'
import { TlsClient, type TlsStage } from './tls.js'

export interface Visit {
  readonly isReused: boolean
  readonly answer: string
  readonly session: Buffer
}

export async function visit(stage: TlsStage, options: ConnectionOptions = {}, path = '/'): Promise<Visit> {
  const client = await TlsClient.open(stage.port, options)
  const { socket } = client
  const answer = await client.request('GET', path)
  const isReused = socket.isSessionReused()
  // TLS 1.3 sends its tickets after the handshake. For a session that was resumed none comes: it stays what it was.
  if (socket.getProtocol() === 'TLSv1.3' && !isReused) await until(() => client.session !== undefined, 'a ticket')
  const session = client.session ?? (isReused ? options.session : socket.getSession())
  socket.end()
  await within(once(socket, 'close'), 'the end of a visit')
  if (session === undefined) throw new Error('the server gave no session')
  return { isReused, answer, session }
}
