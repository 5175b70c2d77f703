/**
 * While two processes serve clients of one server, what one of them says to all has to reach the other's. Between upgrades the
 * adapters of Socket.IO are as they were made.
 */
import type { Acknowledge, BroadcastOptions, IoAdapter, Library, Namespace } from './internals.js'

/** Each gets the method it stands before. */
export interface Interceptor {
  broadcast(namespace: Namespace, packet: object, options: BroadcastOptions, go: () => void): void
  broadcastWithAck(
    namespace: Namespace,
    packet: object,
    options: BroadcastOptions,
    answers: { onCount(count: number): void; onAnswer: Acknowledge },
    go: (onCount: (count: number) => void) => void,
  ): void
  /** `what`: addAll, del or delAll of one socket; addSockets, delSockets or disconnectSockets of many. */
  one(namespace: Namespace, what: OneOf, id: string, rooms: string[], go: () => unknown): unknown
  many(namespace: Namespace, what: ManyOf, options: BroadcastOptions, value: unknown, go: () => void): void
}

export type OneOf = 'addAll' | 'del' | 'delAll'
export type ManyOf = 'addSockets' | 'delSockets' | 'disconnectSockets'

const NAMES = [
  'broadcast',
  'broadcastWithAck',
  'addAll',
  'del',
  'delAll',
  'addSockets',
  'delSockets',
  'disconnectSockets',
] as const

export class Interception {
  readonly #library: Library
  readonly #interceptor: Interceptor
  #isOn = false
  readonly #onNamespace = (namespace: Namespace) => this.#put(namespace)

  constructor(library: Library, interceptor: Interceptor) {
    this.#library = library
    this.#interceptor = interceptor
  }

  on(): void {
    if (this.#isOn) return
    this.#isOn = true
    const { io } = this.#library
    for (const namespace of io._nsps.values()) this.#put(namespace)
    io.of('/').on('new_namespace', this.#onNamespace)
  }

  off(): void {
    if (!this.#isOn) return
    this.#isOn = false
    const { io } = this.#library
    io.of('/').off('new_namespace', this.#onNamespace)
    for (const { adapter } of io._nsps.values()) for (const name of NAMES) Reflect.deleteProperty(adapter, name)
  }

  /** An adapter that speaks to other processes by itself reaches all clients, wherever they are. */
  isLocal(adapter: IoAdapter): boolean {
    return this.#library.localAdapters.includes(adapter.constructor)
  }

  #put(namespace: Namespace): void {
    const { adapter } = namespace
    const between = this.#interceptor
    // Not bound: what stands before them is on the object, they are on its class.
    const own = Object.getPrototypeOf(adapter) as IoAdapter
    const one = (what: OneOf) => (id: string, rooms?: Iterable<string> | string) =>
      between.one(namespace, what, id, typeof rooms === 'string' ? [rooms] : [...(rooms ?? [])], () =>
        (own[what] as (...args: unknown[]) => unknown).call(adapter, id, rooms),
      )
    Object.assign(adapter, { addAll: one('addAll'), del: one('del'), delAll: one('delAll') })
    if (!this.isLocal(adapter)) return
    const many = (what: ManyOf) => (options: BroadcastOptions, value: unknown) =>
      between.many(namespace, what, options, value, () =>
        (own[what] as (...args: unknown[]) => void).call(adapter, options, value),
      )
    Object.assign(adapter, {
      broadcast: (packet: object, options: BroadcastOptions) =>
        between.broadcast(namespace, packet, options, () => own.broadcast.call(adapter, packet, options)),
      broadcastWithAck: (
        packet: object,
        options: BroadcastOptions,
        onCount: (count: number) => void,
        onAnswer: Acknowledge,
      ) =>
        between.broadcastWithAck(namespace, packet, options, { onCount, onAnswer }, (count) =>
          own.broadcastWithAck.call(adapter, packet, options, count, onAnswer),
        ),
      addSockets: many('addSockets'),
      delSockets: many('delSockets'),
      disconnectSockets: many('disconnectSockets'),
    })
  }
}
