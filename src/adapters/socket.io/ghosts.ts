/**
 * The clients of a predecessor once they are the successor's: handlers that are still running hold their sockets, and callbacks
 * wait for acknowledgements. What is said to a socket here goes across.
 */
import type { Crossing } from './crossing.js'
import type { Acknowledge, Client, IoSocket, Library } from './internals.js'
import { framesOf, type Packet } from './packets.js'
import type { Message } from './stream.js'

const EVENT = 2

/** Acknowledgements handlers have been given, and not called yet. */
const kUnanswered = Symbol('handover.unanswered')
type Counted = IoSocket & { [kUnanswered]?: number }

const counted = new WeakSet<object>()
const listeners = new Set<(socket: IoSocket) => void>()

/**
 * Counts, by the socket, the acknowledgements its client waits for: nothing in the library knows it. It is one function more for
 * each event that has an acknowledgement, and nothing for those that have none.
 */
export function countUnanswered({ IoSocket }: Library, onAnswered: (socket: IoSocket) => void): void {
  const { prototype } = IoSocket
  listeners.add(onAnswered)
  if (counted.has(prototype)) return
  counted.add(prototype)
  const { ack } = prototype
  prototype.ack = function (this: Counted, id: number): Acknowledge {
    const answer = ack.call(this, id)
    this[kUnanswered] = (this[kUnanswered] ?? 0) + 1
    let isAnswered = false
    return (...args) => {
      answer(...args)
      if (isAnswered) return
      isAnswered = true
      this[kUnanswered] = (this[kUnanswered] ?? 1) - 1
      for (const listener of listeners) listener(this)
    }
  }
}

export class Ghosts {
  readonly #library: Library
  readonly #crossing: Crossing
  readonly #isOwn: (callback: unknown) => boolean
  readonly #onSettled: () => void
  /** By namespace and id. */
  readonly #sockets = new Map<string, IoSocket>()
  readonly #waiting = new Set<IoSocket>()

  /**
   * @param isOwn whether the callback of an acknowledgement is of this process.
   * @param onSettled called when nothing is waited for any more.
   */
  constructor(library: Library, crossing: Crossing, isOwn: (callback: unknown) => boolean, onSettled: () => void) {
    this.#library = library
    this.#crossing = crossing
    this.#isOwn = isOwn
    this.#onSettled = onSettled
  }

  /** The acknowledgements it waits for, and those it is to give. */
  waitsFor(socket: IoSocket): number {
    let count = (socket as Counted)[kUnanswered] ?? 0
    for (const callback of socket.acks.values()) if (this.#isOwn(callback)) count++
    return count
  }

  /** Of all. Forgets those that have what they waited for: a callback's own timeout says nothing. */
  get waiting(): number {
    let count = 0
    for (const socket of this.#waiting) {
      const own = this.waitsFor(socket)
      if (own === 0) this.#waiting.delete(socket)
      count += own
    }
    return count
  }

  has(namespace: string, id: string): boolean {
    return this.#sockets.has(keyOf(namespace, id))
  }

  get(namespace: string, id: string): IoSocket | undefined {
    return this.#sockets.get(keyOf(namespace, id))
  }

  /** @returns whether something is waited for. */
  add(client: Client): boolean {
    client._packet = (packet, options = {}) => this.#send(client, packet as Packet, options)
    client.writeToEngine = (frames, options = {}) => this.#sendFrames(client, frames, options, null)
    const crossing = this.#crossing
    const disconnect = function (this: IoSocket, close = false) {
      crossing.send({ t: 'disconnect', namespace: this.nsp.name, id: this.id, close })
      return this
    }
    for (const socket of client.sockets.values()) {
      socket.disconnect = disconnect
      this.#sockets.set(keyOf(socket.nsp.name, socket.id), socket)
      if (this.waitsFor(socket) > 0) this.#waiting.add(socket)
    }
    return this.#waiting.size > 0
  }

  /** An acknowledgement has come to the successor. */
  onAck({ namespace, id, ack, args }: Message): void {
    const socket = this.get(String(namespace), String(id))
    socket?.onack({ id: ack as number, data: args as unknown[] })
    this.settle(socket)
  }

  /** The client has left the successor: nothing more comes of it. */
  onGone({ namespace, id }: Message): void {
    const socket = this.get(String(namespace), String(id))
    if (socket === undefined) return
    socket.connected = false
    this.#done(socket)
  }

  settle(socket: IoSocket | undefined): void {
    if (socket !== undefined && this.waitsFor(socket) === 0) this.#done(socket)
  }

  #done(socket: IoSocket): void {
    if (!this.#waiting.delete(socket)) return
    if (this.#waiting.size === 0) this.#onSettled()
  }

  #send(client: Client, packet: Packet, options: object): void {
    const { type, id, nsp = '/' } = packet
    const socket = client.nsps.get(nsp)
    const awaits =
      type === EVENT && id !== undefined && socket !== undefined ? { namespace: nsp, id: socket.id, ack: id } : null
    if (awaits !== null && socket !== undefined) this.#waiting.add(socket)
    this.#sendFrames(client, framesOf(this.#library.io, packet), options, awaits)
  }

  #sendFrames(client: Client, frames: unknown, options: object, awaits: object | null): void {
    const { volatile = false, compress = true } = options as { volatile?: boolean; compress?: boolean }
    const sid = client.conn.id
    const list = Array.isArray(frames) ? frames : [frames]
    this.#crossing.send({ t: 'packet', sid, frames: list, volatile, compress, awaits })
  }
}

const keyOf = (namespace: string, id: string): string => `${namespace}\n${id}`
