/** The crossings of this process, and what passes over them; the one owner of both. */
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SessionDefinition, SessionKind } from '../../runtime/types.js'
import { streamPair } from '../../sys/stream-pair.js'
import { Crossing, framesFor } from './crossing.js'
import { serveFar } from './far.js'
import { countUnanswered, Ghosts } from './ghosts.js'
import { Interception, type Interceptor } from './intercept.js'
import type { Acknowledge, BroadcastOptions, Client, IoSocket, Library, Namespace, Transport } from './internals.js'
import { Late } from './late.js'
import { spread } from './packets.js'

/** An end of a crossing, as a session: the far one moves, the near one stays for as long as something is waited for. */
export interface End {
  readonly side: 'near' | 'far'
  readonly crossing: Crossing | undefined
}

export interface Around {
  clientOf(sid: string): Client | undefined
  clients(): Iterable<Client>
  /** A polling client that has moved tries a WebSocket here. */
  onProbe(sid: string, transport: Transport): void
}

interface Near {
  readonly sockets: readonly [Socket, Socket]
  readonly crossing: Crossing
  readonly ghosts: Ghosts
  /** Keeps this process for as long as something is waited for. */
  stay(): void
  late: Late | undefined
}

const NOTHING = new Uint8Array(0)

export class Bridge implements Interceptor {
  /** Names this process among those that have callbacks. */
  readonly origin = randomUUID()
  readonly #library: Library
  readonly #around: Around
  readonly #interception: Interception
  readonly #fars = new Map<string, Crossing>()
  #near: Near | undefined
  /** Callbacks that pass an acknowledgement on, and to whom. */
  readonly #relays = new WeakMap<object, string>()

  constructor(library: Library, around: Around) {
    this.#library = library
    this.#around = around
    this.#interception = new Interception(library, this)
    countUnanswered(library, (socket) => this.#near?.ghosts.settle(socket))
  }

  get definition(): SessionDefinition<End> {
    return {
      version: 1,
      capture: (_socket, { crossing }) => crossing?.state() ?? { origin: this.origin, rest: NOTHING, said: 0 },
      restore: (socket, state) => this.#restore(socket, state),
      notNow: (_socket, { side }) => (side === 'near' ? this.#waitingFor() : undefined),
      onMoved: (_socket, { crossing }) => {
        if (crossing !== undefined) this.#fars.delete(crossing.origin)
      },
    }
  }

  /** Predecessor, in the freeze. */
  begin(kind: SessionKind<End>): void {
    const sockets = streamPair()
    const [near, far] = sockets
    for (const socket of sockets) socket.unref()
    kind.open(far, { side: 'far', crossing: undefined })
    const crossing = this.#cross('predecessor', near, { origin: this.origin, rest: NOTHING })
    const ghosts = new Ghosts(
      this.#library,
      crossing,
      (callback) => !this.#relays.has(callback as object),
      () => near.end(),
    )
    const stay = () => {
      if (kind.get(near) !== undefined || !near.writable) return
      near.ref()
      kind.open(near, { side: 'near', crossing })
    }
    this.#near = { sockets, crossing, ghosts, stay, late: undefined }
    for (const { sockets } of this.#around.clients())
      for (const socket of sockets.values()) if (ghosts.waitsFor(socket) > 0) stay()
  }

  /** It stays the server after all. */
  undo(): void {
    const near = this.#near
    this.#near = undefined
    for (const socket of near?.sockets ?? []) socket.destroy()
  }

  /** Predecessor, at commit. @param generation numbers its acknowledgements from here on: the successor goes on with the old ones. */
  cross(generation: number): void {
    const near = this.#near
    if (near === undefined) return
    this.#interception.on()
    for (const namespace of this.#library.io._nsps.values()) namespace._ids += generation * 2 ** 32
    near.late ??= new Late(this.#library, near.crossing, (sid, transport) => this.#around.onProbe(sid, transport))
  }

  /** The client is the successor's. */
  moved(client: Client): void {
    if (this.#near?.ghosts.add(client)) this.#near.stay()
  }

  movedPolling(client: Client): void {
    this.moved(client)
    this.#near?.late?.add(client.conn)
  }

  originOf(callback: unknown): string {
    return this.#relays.get(callback as object) ?? this.origin
  }

  /** Of the last broadcast of the successor that was heard here. */
  get heard(): number {
    return this.#near?.crossing.heard ?? 0
  }

  relay(origin: string, { nsp, id }: IoSocket, ack: number): Acknowledge {
    const relay = (...args: unknown[]) => this.#fars.get(origin)?.send({ t: 'ack', namespace: nsp.name, id, ack, args })
    this.#relays.set(relay, origin)
    return relay
  }

  waitsFor(socket: IoSocket): boolean {
    return (this.#near?.ghosts.waitsFor(socket) ?? 0) > 0
  }

  watch(origin: string, socket: IoSocket): void {
    socket.once('disconnect', () =>
      this.#fars.get(origin)?.send({ t: 'gone', namespace: socket.nsp.name, id: socket.id }),
    )
  }

  /** What was said to all after commit, and before this one followed. */
  catchUp(client: Client, origin: string, heard: number): void {
    const crossing = this.#fars.get(origin)
    for (const socket of crossing === undefined ? [] : client.sockets.values())
      for (const { frames, flags } of crossing?.missedBy(socket, heard) ?? [])
        client.writeToEngine(frames, { ...flags })
  }

  broadcast(namespace: Namespace, packet: object, options: BroadcastOptions, go: () => void): void {
    const frames = framesFor(this.#library, packet, namespace)
    const delivered = this.#near === undefined ? [] : idsOf(namespace, options)
    go()
    for (const crossing of this.#all()) crossing.broadcast(namespace, frames, options, delivered)
  }

  broadcastWithAck(
    namespace: Namespace,
    packet: object,
    options: BroadcastOptions,
    { onCount, onAnswer }: { onCount(count: number): void; onAnswer: Acknowledge },
    go: (onCount: (count: number) => void) => void,
  ): void {
    const crossings = [...this.#all()]
    const frames = framesFor(this.#library, packet, namespace)
    let asked = crossings.length + 1
    let total = 0
    const add = (count: number) => {
      total += count
      asked--
      if (asked === 0) onCount(total)
    }
    go(add)
    for (const crossing of crossings) crossing.broadcastWithAck(namespace, frames, options, { onCount: add, onAnswer })
  }

  one(namespace: Namespace, what: string, id: string, rooms: string[], go: () => unknown): unknown {
    if (this.#near?.ghosts.has(namespace.name, id) !== true) return go()
    this.#near.crossing.send({ t: what, namespace: namespace.name, id, rooms })
    return undefined
  }

  many(namespace: Namespace, what: string, options: BroadcastOptions, value: unknown, go: () => void): void {
    go()
    for (const crossing of this.#all()) crossing.send({ t: what, namespace: namespace.name, ...spread(options), value })
  }

  *#all(): Iterable<Crossing> {
    if (this.#near !== undefined) yield this.#near.crossing
    yield* this.#fars.values()
  }

  #restore(socket: Socket, state: unknown): End {
    const { origin, rest, said } = (state ?? {}) as { origin?: unknown; rest?: unknown; said?: unknown }
    if (typeof origin !== 'string' || !(rest instanceof Uint8Array) || typeof said !== 'number')
      throw new Error('the end of a crossing has no origin')
    const crossing = this.#cross('successor', socket, { origin, rest, said })
    this.#fars.set(origin, crossing)
    this.#interception.on()
    return { side: 'far', crossing }
  }

  #cross(
    side: 'predecessor' | 'successor',
    socket: Socket,
    state: { origin: string; rest: Uint8Array; said?: number },
  ): Crossing {
    return new Crossing(
      this.#library,
      side,
      socket,
      state,
      (namespace, packet, options, from) => {
        const { adapter } = namespace
        ;(Object.getPrototypeOf(adapter) as typeof adapter).broadcast.call(adapter, packet, options)
        const others = [...this.#all()].filter((crossing) => crossing !== from)
        if (others.length === 0) return
        const frames = framesFor(this.#library, packet, namespace)
        for (const crossing of others) crossing.broadcast(namespace, frames, options, [])
      },
      (message, crossing) => {
        if (message.t === 'ack') this.#near?.ghosts.onAck(message)
        else if (message.t === 'gone') this.#near?.ghosts.onGone(message)
        else
          serveFar(
            this.#library,
            { relay: (...of) => this.relay(...of), clientOf: this.#around.clientOf },
            message,
            crossing,
          )
      },
      (crossing) => this.#onEnd(crossing),
    )
  }

  #onEnd(crossing: Crossing): void {
    if (this.#near?.crossing === crossing) this.#near = undefined
    if (this.#fars.get(crossing.origin) === crossing) this.#fars.delete(crossing.origin)
    if (this.#near === undefined && this.#fars.size === 0) this.#interception.off()
  }

  #waitingFor(): string | undefined {
    const { ghosts } = this.#near ?? {}
    let count = ghosts?.waiting ?? 0
    // In the freeze they are clients still.
    for (const { sockets } of this.#around.clients())
      for (const socket of sockets.values()) count += ghosts?.waitsFor(socket) ?? 0
    return `${count} acknowledgement${count === 1 ? '' : 's'} of clients that have moved ${count === 1 ? 'is' : 'are'} still to come`
  }
}

/** Those here that get it. An id is a room of its own. */
function idsOf({ adapter }: Namespace, options: BroadcastOptions): string[] {
  const ids: string[] = []
  adapter.apply(options, ({ id }) => ids.push(id))
  return ids
}
