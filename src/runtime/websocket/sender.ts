/** Frames that wait in a sender, while the one before them is compressed. */
import type { WebSocket } from 'ws'
import { inside, isSending, type PrivateSender, type Queued, unholdSender } from './internals.js'
import type { Waiting } from './record.js'

/** Senders whose last frame is out, and that send nothing more for a while: see `Stillness`. */
export const held = new WeakSet<PrivateSender>()

/** More than this is sent here first. */
const MOST_WAITING = 8 * 1024 * 1024

/** What waits in a sender that stands still; undefined when it is at work, or something waits that is not plain data. */
export function waitingIn(sender: PrivateSender): Waiting[] | undefined {
  if (isSending(sender) && !held.has(sender)) return undefined
  const waiting: Waiting[] = []
  let size = 0
  for (const queued of sender._queue) {
    const one = asPlain(sender, queued)
    if (one === undefined || (size += one.data.length) > MOST_WAITING) return undefined
    waiting.push(one)
  }
  return waiting
}

/** Not of a Blob, whose data is still to be read; nor of a library before 8.5, whose queue is of another shape. */
function asPlain(sender: PrivateSender, queued: Queued): Waiting | undefined {
  const [call, data, compress, options] = queued
  if (call !== sender.dispatch || typeof options?.opcode !== 'number') return undefined
  if (typeof data !== 'string' && !(data instanceof Uint8Array)) return undefined
  return { opcode: options.opcode, fin: options.fin, compress: compress === true, data }
}

/** Sends what waited, before anything else. */
export function sendFirst(webSocket: WebSocket, waiting: readonly Waiting[]): void {
  if (waiting.length === 0) return
  const { _sender: sender } = inside(webSocket)
  const { _firstFragment, _compress, _queue: later } = sender
  sender._queue = []
  for (const { opcode, fin, compress, data } of waiting) {
    if (opcode === 9) sender.ping(data, false)
    else if (opcode === 10) sender.pong(data, false)
    else {
      sender._firstFragment = opcode !== 0
      sender._compress = compress
      sender.send(data, { binary: opcode === 2, compress, fin, mask: false })
    }
  }
  sender._firstFragment = _firstFragment
  sender._compress = _compress
  sender._queue.push(...later)
}

export function letGo(sender: PrivateSender): void {
  Reflect.deleteProperty(sender, 'dequeue')
  if (!held.delete(sender)) return
  unholdSender(sender)
  sender.dequeue()
}
