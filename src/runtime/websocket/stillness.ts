/**
 * Helps a WebSocket that was asked to move in the middle of work to stand still: the thread pool is inflating a message, or
 * compressing one. Under load there is always one more. So nothing more is read, and what is sent waits in the library's own
 * queue, until what is under way is done: some milliseconds, and never longer than HOLD_MS after that.
 */
import type { WebSocket } from 'ws'
import { nowMs } from '../../sys/clock.js'
import { holdSender, inside, isSending } from './internals.js'
import { held, letGo, waitingIn } from './sender.js'
import { notNow } from './socket.js'

/** From the moment it stands still; by then it has moved, or is to go on here. */
const HOLD_MS = 50
/** After this the runtime's own, slower attempts are enough. */
const WATCH_MS = 10_000
/** Turns of the loop that are looked at one by one, before time is given to whoever works. */
const TURNS = 20

interface Watched {
  readonly untilMs: number
  isStopped: boolean
  stillAtMs: number | undefined
}

export class Stillness {
  readonly #watched = new Map<WebSocket, Watched>()
  readonly #onStill: (webSocket: WebSocket) => void
  #turns = 0
  #isScheduled = false

  /** @param onStill called once each time it stands still, and may move now. */
  constructor(onStill: (webSocket: WebSocket) => void) {
    this.#onStill = onStill
  }

  /** @param stop nothing more is read or sent meanwhile. */
  wait(webSocket: WebSocket, stop: boolean): void {
    const before = this.#watched.get(webSocket)
    const isStopped = before?.isStopped === true || stop
    this.#watched.set(webSocket, { untilMs: nowMs() + WATCH_MS, isStopped, stillAtMs: undefined })
    if (stop && before?.isStopped !== true) stopReading(webSocket)
    if (stop) stopSending(webSocket)
    this.#turns = 0
    this.#schedule()
  }

  /** It is another process'. */
  forget(webSocket: WebSocket): void {
    this.#watched.delete(webSocket)
  }

  #schedule(): void {
    if (this.#isScheduled || this.#watched.size === 0) return
    this.#isScheduled = true
    if (this.#turns++ < TURNS) setImmediate(() => this.#look())
    else setTimeout(() => this.#look(), 1).unref()
  }

  #look(): void {
    this.#isScheduled = false
    const now = nowMs()
    for (const [webSocket, watched] of this.#watched) {
      const isOver = watched.stillAtMs === undefined ? now > watched.untilMs : now > watched.stillAtMs + HOLD_MS
      if (isOver || webSocket.readyState !== webSocket.OPEN) this.#goOn(webSocket, watched)
      else if (watched.stillAtMs === undefined && notNow(webSocket) === undefined) {
        watched.stillAtMs = now
        this.#onStill(webSocket)
      }
    }
    this.#schedule()
  }

  #goOn(webSocket: WebSocket, { isStopped }: Watched): void {
    this.#watched.delete(webSocket)
    if (!isStopped) return
    letGo(inside(webSocket)._sender)
    startReading(webSocket)
  }
}

/** The library resumes the socket itself when it can take more; who else may has not to know. */
function stopReading(webSocket: WebSocket): void {
  const { _socket: socket } = inside(webSocket)
  socket.pause()
  socket.resume = () => socket
}

function startReading(webSocket: WebSocket): void {
  const { _socket: socket, _receiver: receiver } = inside(webSocket)
  Reflect.deleteProperty(socket, 'resume')
  if (webSocket.isPaused !== true && !receiver.writableNeedDrain) socket.resume()
}

/** When the frame under way is out the next is not begun, if all that wait can travel. */
function stopSending(webSocket: WebSocket): void {
  const { _sender: sender } = inside(webSocket)
  if (held.has(sender) || !isSending(sender)) return
  const { dequeue } = sender
  sender.dequeue = () => {
    held.add(sender)
    if (waitingIn(sender) === undefined) {
      held.delete(sender)
      dequeue.call(sender)
    } else holdSender(sender)
  }
}
