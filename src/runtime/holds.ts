/** Sessions whose app says "not now", and why. */
import type { Socket } from 'node:net'
import { HandoverError, messageOf } from '../errors.js'
import { clip } from '../transfer/types.js'

export class Holds {
  readonly #reasons = new Map<Socket, Map<object, string>>()
  readonly #onFree: (socket: Socket) => void

  /** @param onFree called when the last hold of a session is gone. */
  constructor(onFree: (socket: Socket) => void) {
    this.#onFree = onFree
  }

  add(socket: Socket, reason: string, until: Promise<unknown> | undefined): () => void {
    if (typeof reason !== 'string' || reason === '')
      throw new HandoverError('HANDOVER_USAGE', 'hold() needs a reason: a few words that the result can show')
    const hold = {}
    const reasons = this.#reasons.get(socket) ?? new Map<object, string>()
    this.#reasons.set(socket, reasons.set(hold, clip(reason)))
    const release = () => {
      if (!reasons.delete(hold) || reasons.size > 0) return
      if (this.#reasons.get(socket) === reasons) this.#reasons.delete(socket)
      this.#onFree(socket)
    }
    until?.then(release, release)
    return release
  }

  /** The first reason there is. */
  of(socket: Socket): string | undefined {
    const reasons = this.#reasons.get(socket)
    return reasons?.values().next().value
  }

  get sockets(): Iterable<Socket> {
    return this.#reasons.keys()
  }

  get isEmpty(): boolean {
    return this.#reasons.size === 0
  }

  forget(socket: Socket): void {
    this.#reasons.delete(socket)
  }
}

/** What an app's `notNow` answers. One that throws, or answers nonsense, has not said that the session may move. */
export function askNotNow(ask: () => unknown): string | undefined {
  let answer: unknown
  try {
    answer = ask()
  } catch (error) {
    return clip(`notNow threw: ${messageOf(error)}`)
  }
  if (answer === undefined || answer === false || answer === null) return undefined
  return typeof answer === 'string' && answer !== '' ? clip(answer) : 'not now'
}
