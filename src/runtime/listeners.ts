/** The sockets the supervisor keeps that this process serves on, and the connections that came through them. */
import { chmodSync } from 'node:fs'
import net, { type Server, type Socket } from 'node:net'
import { HandoverError, messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { type HeldListener, listenHeld, unsupported } from '../sys/node-internals.js'
import { clearStale } from '../sys/unix-path.js'
import type { Drainer } from './adapter.js'
import { apart } from './apart.js'
import type { Control } from './control.js'
import { type AskedSocket, askedOf, checkPort, DEFAULT_BACKLOG } from './listen-options.js'
import { checkName } from './sessions.js'
import type { ListenOptions } from './types.js'

/** What serves on a socket of the supervisor's. */
export interface Endpoint {
  /** It is bound to; 0 when it has none, or is closed. */
  readonly port: number
  /** Begins to accept, or to receive. */
  activate(): void
  /** Another process serves from now on: takes nothing any more. The loop has not turned since. Must not throw. */
  retire(): void
  /** Resolves when all that was sent is out; called when nothing else is left to be done here. */
  flush?(withinMs: number): Promise<void>
}

export class Listeners {
  /** Open connections accepted here, sessions included. */
  readonly connections = new Set<Socket>()
  readonly #endpoints = new Map<string, Endpoint & { readonly cookie: string }>()
  readonly #keepers = new WeakSet<Server>()
  readonly #drainers = new Map<Server, Drainer>()
  /** Of those connections that are drained in the way of their adapter. */
  readonly #drained = new WeakMap<Socket, Drainer>()
  readonly #names = new Set<string>()

  /** Takes a name while it is opened, and for good if that succeeds. @throws HandoverError HANDOVER_USAGE */
  async claim<T>(name: string, open: () => Promise<T>): Promise<T> {
    checkName('listener', name, this.#names)
    this.#names.add(name)
    try {
      return await open()
    } catch (error) {
      this.#names.delete(name)
      throw error
    }
  }

  /** On the supervisor's socket, if there is one. @throws HandoverError HANDOVER_LISTEN_REFUSED, HANDOVER_USAGE */
  async listen(control: Control | undefined, server: Server, options: ListenOptions): Promise<void> {
    const asked = askedOf(options)
    await this.claim(options.name, async () => {
      if (control === undefined) return this.listenAlone(server, options)
      await this.listenOn(server, options, await control.listen(asked))
    })
  }

  /** False without a supervisor. @throws HandoverError HANDOVER_LISTEN_REFUSED, HANDOVER_USAGE */
  async keep(control: Control | undefined, asked: AskedSocket, hold: (fd: number) => Endpoint): Promise<boolean> {
    checkPort(asked.name, asked.port)
    return this.claim(asked.name, async () => {
      if (control === undefined) return false
      await this.holdOn(asked.name, await control.listen(asked), hold)
      return true
    })
  }

  /** Listens without a supervisor. */
  async listenAlone(server: Server, options: ListenOptions): Promise<void> {
    const { name, port, host, path, mode, backlog = DEFAULT_BACKLOG } = options
    this.#follow(server)
    if (path !== undefined) await refusing(name, () => clearStale(path))
    await refusing(name, () =>
      listening(server, () => server.listen(path === undefined ? { port, host, backlog } : { path, backlog })),
    )
    if (path !== undefined && mode !== undefined) chmodSync(path, mode)
  }

  /**
   * Listens on a socket of the supervisor's, which it owns from now on; accepts from `activate` on.
   * @throws HandoverError HANDOVER_LISTEN_REFUSED
   */
  async listenOn(server: Server, options: ListenOptions, descriptor: number): Promise<void> {
    const { name, path, backlog = DEFAULT_BACKLOG } = options
    const cookie = cookieOf(descriptor)
    this.#follow(server)
    // Without the private door the server listens when it may accept; until then its address() is null.
    let held: HeldListener = { release: () => server.listen({ fd: descriptor, backlog, exclusive: true }) }
    if (unsupported() === undefined)
      await refusing(name, () =>
        listening(server, () => {
          held = listenHeld(server, descriptor, backlog, path)
        }),
      )
    this.#endpoints.set(name, {
      cookie,
      get port() {
        const address = server.address()
        return typeof address === 'object' && address !== null ? address.port : 0
      },
      activate: () => held.release(),
      retire: () => {
        if (!server.listening) return
        // An HTTP server's own close() closes its idle connections: the next request of a client would be reset.
        if (this.#keepers.has(server)) net.Server.prototype.close.call(server)
        else server.close()
      },
    })
  }

  /**
   * Serves on a socket of the supervisor's in a way of its own.
   * @param hold owns the descriptor, also when it throws.
   */
  async holdOn(name: string, descriptor: number, hold: (descriptor: number) => Endpoint): Promise<void> {
    const cookie = cookieOf(descriptor)
    await refusing(name, async () => {
      const endpoint = hold(descriptor)
      this.#endpoints.set(name, Object.assign(endpoint, { cookie }))
    })
  }

  /** Begins to accept and to receive everywhere. */
  activate(): void {
    for (const endpoint of this.#endpoints.values()) endpoint.activate()
  }

  /** The sockets by name, with the kernel's cookie of each: the same in every generation. */
  list(): { name: string; cookie: string; port: number }[] {
    return [...this.#endpoints].map(([name, { cookie, port }]) => ({ name, cookie, port }))
  }

  /** Stops accepting and receiving; the sockets stay open in the supervisor. Connections stay. */
  retire(): void {
    for (const endpoint of this.#endpoints.values()) apart(() => endpoint.retire())
  }

  /** Resolves when all that was sent is out, or after that time. */
  async flush(withinMs: number): Promise<void> {
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.flush?.(withinMs)))
  }

  /** Its connections move. */
  keepConnections(server: Server): void {
    this.#keepers.add(server)
  }

  /** Its connections stay, and are drained like this. */
  drainConnections(server: Server, drainer: Drainer): void {
    this.#keepers.add(server)
    this.#drainers.set(server, drainer)
  }

  drainerOf(socket: Socket): Drainer | undefined {
    return this.#drained.get(socket)
  }

  #follow(server: Server): void {
    const { connections } = this
    const drained = this.#drained
    const drainer = this.#drainers.get(server)
    // One for all sockets, and not `once`: an HTTP server adds and removes a listener of 'close' with each request.
    function onClose(this: Socket): void {
      connections.delete(this)
    }
    server.on('connection', (socket: Socket) => {
      connections.add(socket)
      socket.on('close', onClose)
      if (drainer !== undefined) drained.set(socket, drainer)
    })
  }
}

const cookieOf = (descriptor: number): string => binding().socketCookie(descriptor).toString()

function listening(server: Server, begin: () => void): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.removeListener('error', reject)
      resolve()
    })
    begin()
  })
}

async function refusing(name: string, open: () => Promise<void>): Promise<void> {
  try {
    await open()
  } catch (cause) {
    throw new HandoverError('HANDOVER_LISTEN_REFUSED', `listener "${name}": ${messageOf(cause)}`, { cause })
  }
}
