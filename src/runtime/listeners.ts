/** The listening sockets of this process and the connections that came through them. */
import net, { type Server, type Socket } from 'node:net'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { type HeldListener, listenHeld, unsupported } from '../sys/node-internals.js'
import { checkName } from './sessions.js'
import type { ListenOptions } from './types.js'

export const DEFAULT_BACKLOG = 511

interface Listener {
  readonly server: Server
  readonly cookie: string
  readonly held: HeldListener
}

export class Listeners {
  /** Open connections accepted here, sessions included. */
  readonly connections = new Set<Socket>()
  readonly #listeners = new Map<string, Listener>()
  readonly #keepers = new WeakSet<Server>()
  readonly #names = new Set<string>()

  /** Takes a name, before anything is opened for it. @throws HandoverError HANDOVER_USAGE */
  claim(name: string): void {
    checkName('listener', name, this.#names)
    this.#names.add(name)
  }

  /** Gives the name back: nothing listens under it. */
  disclaim(name: string): void {
    this.#names.delete(name)
  }

  /** Listens without a supervisor. */
  async listenAlone(server: Server, options: ListenOptions): Promise<void> {
    const { port, host, backlog = DEFAULT_BACKLOG } = options
    this.#follow(server)
    await listening(server, options.name, () => server.listen({ port, host, backlog }))
  }

  /**
   * Listens on a socket of the supervisor's, which it owns from now on; accepts from `activate` on.
   * @throws HandoverError HANDOVER_LISTEN_REFUSED
   */
  async listenOn(server: Server, options: ListenOptions, descriptor: number): Promise<void> {
    const { name, backlog = DEFAULT_BACKLOG } = options
    const cookie = binding().socketCookie(descriptor).toString()
    this.#follow(server)
    if (unsupported() === undefined) {
      let held: HeldListener | undefined
      await listening(server, name, () => {
        held = listenHeld(server, descriptor, backlog)
      })
      this.#listeners.set(name, { server, cookie, held: held as HeldListener })
    } else {
      // Without the private door the server listens when it may accept; until then its address() is null.
      this.#listeners.set(name, {
        server,
        cookie,
        held: { release: () => server.listen({ fd: descriptor, backlog, exclusive: true }) },
      })
    }
  }

  /** Begins to accept everywhere. */
  activate(): void {
    for (const { held } of this.#listeners.values()) held.release()
  }

  /** The listening sockets by name, with the kernel's cookie of each: the same in every generation. */
  list(): { name: string; cookie: string; port: number }[] {
    return [...this.#listeners].map(([name, { server, cookie }]) => {
      const address = server.address()
      return { name, cookie, port: typeof address === 'object' && address !== null ? address.port : 0 }
    })
  }

  /** Stops accepting; the sockets stay open in the supervisor. Connections stay. */
  close(): void {
    for (const { server } of this.#listeners.values()) {
      if (!server.listening) continue
      // An HTTP server's own close() closes its idle connections: the next request of a client would be reset.
      if (this.#keepers.has(server)) net.Server.prototype.close.call(server)
      else server.close()
    }
  }

  /** Its connections move. */
  keepConnections(server: Server): void {
    this.#keepers.add(server)
  }

  #follow(server: Server): void {
    const { connections } = this
    // One for all sockets, and not `once`: an HTTP server adds and removes a listener of 'close' with each request.
    function onClose(this: Socket): void {
      connections.delete(this)
    }
    server.on('connection', (socket: Socket) => {
      connections.add(socket)
      socket.on('close', onClose)
    })
  }
}

async function listening(server: Server, name: string, begin: () => void): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.once('listening', () => {
        server.removeListener('error', reject)
        resolve()
      })
      begin()
    })
  } catch (cause) {
    throw new HandoverError('HANDOVER_LISTEN_REFUSED', `listener "${name}": ${messageOf(cause)}`, { cause })
  }
}
