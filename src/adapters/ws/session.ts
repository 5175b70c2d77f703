/** One WebSocket as a session, and how one that came from another process is given to the app. */
import { type EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { holdSender, inside } from '../../runtime/websocket/internals.js'
import type { Moved, Waiting } from '../../runtime/websocket/record.js'
import type { RequestHead } from '../../runtime/websocket/request.js'
import { held, letGo, sendFirst } from '../../runtime/websocket/sender.js'

export interface Session {
  readonly webSocket: WebSocket
  readonly socket: Socket
  readonly head: RequestHead
  /** While somebody may want it: for thousands it is a lot to keep. */
  request: IncomingMessage | undefined
  /** What it has received before the app has it; undefined from then on. */
  arrival: Arrival | undefined
  /** It is live. */
  isArrived: boolean
  readonly isAdopted: boolean
  /** As it was looked at last. */
  binaryType: string
  /** It was looked at in the middle of work. */
  isStale: boolean
}

const ENOUGH = 64 * 1024

/** Between restore and the moment the app has its handlers on it, what is received waits. */
export class Arrival {
  readonly #webSocket: WebSocket
  readonly #chunks: Buffer[] = []
  #waiting: readonly Waiting[] = []
  #size = 0

  constructor(webSocket: WebSocket) {
    this.#webSocket = webSocket
    const receiver = inside(webSocket)._receiver as unknown as { write(chunk: Buffer): boolean }
    receiver.write = (chunk) => {
      this.#chunks.push(chunk)
      this.#size += chunk.length
      // The library pauses the socket then.
      return this.#size < ENOUGH
    }
  }

  /** What is to be sent before anything the app sends. */
  update({ waiting }: Moved): void {
    const { _sender: sender } = inside(this.#webSocket)
    this.#waiting = waiting
    if (waiting.length === 0 || held.has(sender)) return
    held.add(sender)
    holdSender(sender)
  }

  /** Live: what was left to send goes out. */
  send(): void {
    // An earlier copy had frames that waited, this one may have none: the sender is held all the same.
    sendFirst(this.#webSocket, this.#waiting)
    letGo(inside(this.#webSocket)._sender)
  }

  /** The app has it: what has been received is emitted. */
  receive(): void {
    const { _receiver: receiver, _socket: socket } = inside(this.#webSocket)
    Reflect.deleteProperty(receiver, 'write')
    if (this.#chunks.length === 0) return
    const writable = receiver as unknown as { write(chunk: Buffer): boolean }
    const isFull = this.#chunks.map((chunk) => writable.write(chunk)).includes(false)
    if (isFull) socket.pause()
    else if (this.#size >= ENOUGH && this.#webSocket.isPaused !== true) socket.resume()
  }
}

/** Requests that are emitted again, and what becomes of each. */
const replayed = new WeakMap<object, (callback: (webSocket: WebSocket, request: IncomingMessage) => void) => void>()

/** Called by `handleUpgrade`: true when this is a request that is emitted again, and is answered. */
export function answerReplay(
  request: IncomingMessage,
  callback: (webSocket: WebSocket, request: IncomingMessage) => void,
): boolean {
  const answer = replayed.get(request)
  replayed.delete(request)
  answer?.(callback)
  return answer !== undefined
}

/**
 * Emits the request again, with a socket that leads nowhere: who refuses it this time writes an answer, which the client, who
 * has been let in long ago, would take for a frame.
 */
export function replay(
  server: EventEmitter,
  webSocket: WebSocket,
  request: IncomingMessage,
  onTaken: () => void,
): void {
  const nowhere = new Nowhere()
  const refuse = () => {
    if (replayed.delete(request)) webSocket.close(POLICY_VIOLATION, 'refused by the new release')
  }
  nowhere.onWritten = refuse
  nowhere.on('close', refuse)
  nowhere.on('error', refuse)
  replayed.set(request, (callback) => {
    callback(webSocket, request)
    onTaken()
  })
  // A framework waits for the end of the socket to end the request.
  void once(webSocket, 'close').then(
    () => nowhere.destroy(),
    () => nowhere.destroy(),
  )
  server.emit('upgrade', request, nowhere, Buffer.alloc(0))
}

/** RFC 6455, 7.4.1. */
const POLICY_VIOLATION = 1008

class Nowhere extends Duplex {
  onWritten: () => void = () => undefined

  override _read(): void {
    // Nothing ever comes.
  }

  override _write(_chunk: unknown, _encoding: string, callback: () => void): void {
    this.onWritten()
    callback()
  }
}
