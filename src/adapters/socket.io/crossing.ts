/**
 * The way between the process that has handed its clients over and the one that has them: what handlers still running there
 * say, the acknowledgements their callbacks wait for, and what is said to all, in both directions, so that each client hears it
 * once. There is one for each predecessor that is not gone yet.
 *
 * Each broadcast of the successor has a number, and is kept until the predecessor has said that it delivered it to those it
 * still serves: one of them that follows says with its state what it has heard, and is given the rest.
 */
import type { Socket } from 'node:net'
import type { Acknowledge, BroadcastOptions, IoSocket, Library, Namespace } from './internals.js'
import { framesOf, optionsIn, packetOf, spread } from './packets.js'
import { type Message, MessageStream } from './stream.js'

export interface Answers {
  onCount(count: number): void
  onAnswer: Acknowledge
}

/** What the other side asks for that is not of broadcasts. */
export type Handler = (message: Message, crossing: Crossing) => void

interface Kept {
  readonly number: number
  readonly namespace: string
  readonly frames: unknown[]
  readonly options: BroadcastOptions
}

/** To the clients of this process, and on every other crossing. */
export type Deliver = (namespace: Namespace, packet: object, options: BroadcastOptions, from: Crossing) => void

const EVENT = 2

export class Crossing {
  /** The process that has handed over. */
  readonly origin: string
  /** On which side of it this process is. */
  readonly side: 'predecessor' | 'successor'
  readonly stream: MessageStream
  readonly #library: Library
  readonly #deliver: Deliver
  readonly #handle: Handler
  readonly #asked = new Map<number, { onAnswer(message: Message): void; onEnd(): void }>()
  #lastAsked = 0
  #kept: Kept[] = []
  #lastSaid = 0
  /** The number of the last broadcast the other side has said. */
  heard = 0

  constructor(
    library: Library,
    side: 'predecessor' | 'successor',
    socket: Socket,
    state: { readonly origin: string; readonly rest: Uint8Array; readonly said?: number },
    deliver: Deliver,
    handle: Handler,
    onEnd: (crossing: Crossing) => void,
  ) {
    this.side = side
    this.origin = state.origin
    this.#lastSaid = state.said ?? 0
    this.#library = library
    this.#deliver = deliver
    this.#handle = handle
    const onMessage = (message: Message) => this.#onMessage(message)
    this.stream = new MessageStream(socket, state.rest, onMessage, () => {
      for (const { onEnd } of this.#asked.values()) onEnd()
      this.#asked.clear()
      onEnd(this)
    })
  }

  /** As a session: it goes on to the next successor. */
  state(): { origin: string; rest: Uint8Array; said: number } {
    return { origin: this.origin, rest: this.stream.rest, said: this.#lastSaid }
  }

  send(message: Message): void {
    this.stream.send(message)
  }

  /** Asks, and hears every answer until `forget` is called. @returns the question's number. */
  ask(message: Message, onAnswer: (answer: Message) => void, onEnd: () => void): number {
    const question = ++this.#lastAsked
    this.#asked.set(question, { onAnswer, onEnd })
    this.send({ ...message, question })
    return question
  }

  forget(question: number): void {
    this.#asked.delete(question)
  }

  /** @param delivered ids of those here it was delivered to already: should one of them follow meanwhile, it has it. */
  broadcast(namespace: Namespace, frames: unknown[], options: BroadcastOptions, delivered: readonly string[]): void {
    const number = ++this.#lastSaid
    if (this.side === 'successor') this.#kept.push({ number, namespace: namespace.name, frames, options })
    const { rooms, except, flags } = spread(options)
    this.send({
      t: 'broadcast',
      number,
      namespace: namespace.name,
      frames,
      rooms,
      except: [...(except as string[]), ...delivered],
      flags,
    })
  }

  broadcastWithAck(namespace: Namespace, frames: unknown[], options: BroadcastOptions, answers: Answers): void {
    let isCounted = false
    const count = (clients: number) => {
      if (isCounted) return
      isCounted = true
      answers.onCount(clients)
    }
    this.ask(
      { t: 'broadcastWithAck', namespace: namespace.name, frames, ...spread(options) },
      ({ count: clients, answer }) => {
        if (clients !== undefined) count(clients as number)
        else answers.onAnswer(...(answer as unknown[]))
      },
      () => count(0),
    )
  }

  /** What one that has followed has not heard, as it came. */
  missedBy(socket: IoSocket, heard: number): { frames: unknown[]; flags: Record<string, unknown> }[] {
    const { rooms } = socket
    const isIn = (room: string) => rooms.has(room)
    return this.#kept
      .filter(({ number, namespace, options: { rooms: to, except } }) => {
        if (number <= heard || namespace !== socket.nsp.name) return false
        return (to.size === 0 || [...to].some(isIn)) && ![...(except ?? [])].some(isIn)
      })
      .map(({ frames, options }) => ({ frames, flags: options.flags ?? {} }))
  }

  #onMessage(message: Message): void {
    const { io } = this.#library
    const namespace = io._nsps.get(String(message['namespace']))
    switch (message.t) {
      case 'broadcast':
        if (namespace !== undefined) {
          const { data } = packetOf(io, message['frames'])
          this.#deliver(namespace, { type: EVENT, data }, optionsIn(message), this)
        }
        this.heard = message['number'] as number
        if (this.side === 'predecessor') this.send({ t: 'heard', number: this.heard })
        return
      case 'heard':
        this.#kept = this.#kept.filter(({ number }) => number > (message['number'] as number))
        return
      case 'broadcastWithAck':
        this.#broadcastHere(namespace, message)
        return
      case 'answer':
        this.#asked.get(message['to'] as number)?.onAnswer(message)
        return
      default:
        this.#handle(message, this)
    }
  }

  #broadcastHere(namespace: Namespace | undefined, message: Message): void {
    const to = message['question']
    if (namespace === undefined) {
      this.send({ t: 'answer', to, count: 0 })
      return
    }
    const { data } = packetOf(this.#library.io, message['frames'])
    const { adapter } = namespace
    const own = Object.getPrototypeOf(adapter) as typeof adapter
    own.broadcastWithAck.call(
      adapter,
      { type: EVENT, data },
      optionsIn(message),
      (count) => this.send({ t: 'answer', to, count }),
      (...answer) => this.send({ t: 'answer', to, answer }),
    )
  }
}

export const framesFor = ({ io }: Library, packet: object, namespace: Namespace): unknown[] =>
  framesOf(io, { ...packet, nsp: namespace.name })
