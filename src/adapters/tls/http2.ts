/**
 * After commit: HTTP/2 sessions are shut down. GOAWAY goes out right after a client has opened a stream, and names that
 * stream as the last: who has one request under way at a time then has none that could be lost. A session that opens none for
 * a while is told when it is idle. RFC 9113 6.8 knows a first GOAWAY that names no stream; nghttp2, as Node drives it, ignores
 * in silence each stream that comes after any GOAWAY, so that those under way would hang for ever instead of being refused.
 */
import type { ServerHttp2Session } from 'node:http2'
import type { Server, Socket } from 'node:net'
import { linger } from './end.js'

/** How long a session is waited for to open a stream: as long as Node lets an idle HTTP/1 connection wait by default. */
const IDLE_MS = 5000

export class Http2 {
  readonly #open = new Set<ServerHttp2Session>()
  #isRetired = false

  constructor(server: Server) {
    server.on('session', (session: ServerHttp2Session) => {
      this.#open.add(session)
      session.once('close', () => this.#open.delete(session))
      if (this.#isRetired) shutDown(session)
    })
  }

  retire(): void {
    this.#isRetired = true
    for (const session of this.#open) shutDown(session)
  }

  end(): void {
    for (const session of this.#open) {
      if (session.destroyed) continue
      // Closed before it is destroyed, it goes on reading: no reset.
      session.close()
      session.destroy()
    }
  }
}

function shutDown(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return
  const close = (): void => session.close()
  const timer = setTimeout(close, IDLE_MS).unref()
  session.once('stream', () => {
    clearTimeout(timer)
    // Others may have come in the same bytes: nghttp2 has them, and Node would refuse them if it were closed now.
    setImmediate(close)
  })
  // A closed session ends its socket and waits for the client's end.
  session.socket.once('finish', function (this: Socket) {
    linger(this)
  })
}
