/** What the people in the room share. The same for both releases, which keep different things of a message. */

const HISTORY = 200

export interface Message {
  readonly id: number
  readonly from: string
  readonly text: string
  /** Milliseconds since 1970. */
  readonly at: number
  /** Since release 2. */
  likes?: number
}

export interface RoomState {
  readonly nextId: number
  readonly messages: readonly Message[]
}

export class Room {
  #nextId = 1
  #messages: Message[] = []

  get messages(): readonly Message[] {
    return this.#messages
  }

  say(from: string, text: string, more: { likes?: number }): Message {
    const message = { id: this.#nextId++, from, text, at: Date.now(), ...more }
    this.#messages.push(message)
    if (this.#messages.length > HISTORY) this.#messages.shift()
    return message
  }

  /** Undefined when the message is not remembered any more. */
  like(id: number): Message | undefined {
    const message = this.#messages.find((one) => one.id === id)
    if (message !== undefined) message.likes = (message.likes ?? 0) + 1
    return message
  }

  capture(): RoomState {
    return { nextId: this.#nextId, messages: this.#messages }
  }

  restore({ nextId, messages }: RoomState): void {
    this.#nextId = nextId
    this.#messages = [...messages]
  }
}
