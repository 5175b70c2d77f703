/**
 * What an app does with a UDP socket before it may: the kernel's socket is another process' still, and what is done to it
 * would stay if the upgrade were aborted. So it waits until this process serves, like what is written to a TCP session.
 */
import dgram from 'node:dgram'

const HELD = [
  'send',
  'connect',
  'disconnect',
  'setBroadcast',
  'setTTL',
  'setMulticastTTL',
  'setMulticastLoopback',
  'setMulticastInterface',
  'addMembership',
  'dropMembership',
  'addSourceSpecificMembership',
  'dropSourceSpecificMembership',
  'setRecvBufferSize',
  'setSendBufferSize',
] as const

export type Call = (...args: never[]) => unknown
type Methods = Record<string, Call>
type Name = (typeof HELD)[number]

/** They return what they were given. */
const ECHOES: readonly Name[] = ['setTTL', 'setMulticastTTL', 'setMulticastLoopback']

export class HeldCalls {
  readonly #socket: dgram.Socket
  readonly #own = new Map<Name, Call>()
  readonly #calls: { readonly name: Name; readonly args: never[] }[] = []
  #isHeld = true

  constructor(socket: dgram.Socket) {
    this.#socket = socket
    for (const name of HELD) {
      const before = methodsOf(socket)[name] as Call
      const held = (...args: never[]): unknown => {
        // Who has wrapped it meanwhile goes on calling it.
        if (!this.#isHeld) return before.apply(socket, args)
        this.#calls.push({ name, args })
        return ECHOES.includes(name) ? args[0] : undefined
      }
      this.#own.set(name, held)
      put(socket, name, held)
    }
  }

  /** The socket is as it was before: between upgrades nothing stands between it and the app. */
  release(): void {
    this.#isHeld = false
    // The last first: so V8 gives the object the shape back that it had.
    for (const name of HELD.toReversed()) {
      if (methodsOf(this.#socket)[name] === this.#own.get(name)) Reflect.deleteProperty(this.#socket, name)
    }
  }

  /** Does what was asked for meanwhile, in order. What fails is an 'error' of the socket: nobody waits for the call any more. */
  run(): void {
    for (const { name, args } of this.#calls.splice(0)) {
      try {
        ;(methodsOf(this.#socket)[name] as Call).apply(this.#socket, args)
      } catch (error) {
        process.nextTick(() => this.#socket.emit('error', error as Error))
      }
    }
  }
}

/** Puts another method in the place of the socket's own. */
export function put(socket: dgram.Socket, name: string, method: Call): void {
  Object.defineProperty(socket, name, { value: method, configurable: true, writable: true, enumerable: false })
}

export const methodsOf = (socket: dgram.Socket): Methods => socket as unknown as Methods
export const plain = dgram.Socket.prototype as unknown as Methods
