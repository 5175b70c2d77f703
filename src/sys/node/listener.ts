/** A listening socket that does not accept yet. */
import net from 'node:net'
import type { Handle } from './private.js'

interface PrivateNet {
  _createServerHandle(address: null, port: null, addressType: null, fd: number): Handle | number
}

interface PrivateServer {
  _pipeName?: string
}

export const canListenHeld = (): boolean => typeof (net as unknown as PrivateNet)._createServerHandle === 'function'

export interface HeldListener {
  /** From now on connections are accepted. Throws when listen(2) fails. */
  release(): void
}

/**
 * Listens on an inherited listener without accepting yet: `server.listening` and `server.address()` are as they will be,
 * but listen(2), and with it the watch for connections, waits for `release`.
 * @param fd a duplicate the server may own.
 * @param path of a unix listener. Only a server that has bound one itself unlinks it at its end.
 */
export function listenHeld(server: net.Server, fd: number, backlog: number, path?: string): HeldListener {
  const handle = (net as unknown as PrivateNet)._createServerHandle(null, null, null, fd)
  if (typeof handle === 'number') throw new Error(`the listener (descriptor ${fd}) cannot be opened: errno ${-handle}`)
  handle.listen = () => 0
  // Before 'listening' is emitted: a Pipe cannot be asked for its name, and address() would be null.
  if (path !== undefined) (server as unknown as PrivateServer)._pipeName = path
  server.listen({ _handle: handle, backlog } as net.ListenOptions)
  return {
    release() {
      Reflect.deleteProperty(handle, 'listen')
      // listen(2) on a listening socket only sets its backlog: always the same one, or the queue would shrink.
      const errno = handle.listen(backlog)
      if (errno !== 0) throw new Error(`listen failed: errno ${-errno}`)
    },
  }
}
