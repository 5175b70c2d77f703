/** After commit the predecessor serves what could not move, until it ends or the deadline comes. */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import type { ReasonFields } from '../wire/fields.js'

/** How long a connection may take to close after it was ended at the deadline. */
const CLOSE_MS = 1000

export interface Drained {
  readonly drained: number
  readonly dropped: number
  readonly reasons: ReasonFields[]
}

/** @param connections open connections; they leave the set by themselves as they close. */
export async function drain(connections: Set<Socket>, drainMs: number): Promise<Drained> {
  // What is destroyed has ended before, and only its 'close' is still to come.
  const open = [...connections].filter((socket) => !socket.destroyed)
  const deadlineMs = nowMs() + drainMs
  await Promise.race([Promise.all(open.map(closed)), until(deadlineMs)])
  const late = open.filter((socket) => !socket.closed)
  for (const socket of late) close(socket)
  const timer = setTimeout(() => {
    for (const socket of late) socket.destroy()
  }, CLOSE_MS)
  await Promise.all(late.map(closed))
  clearTimeout(timer)
  const reasons: ReasonFields[] = []
  if (open.length > late.length)
    reasons.push({ reason: 'not a session: served to its end by the predecessor', count: open.length - late.length })
  if (late.length > 0)
    reasons.push({ reason: `not a session, and still open after ${drainMs} ms of drain`, count: late.length })
  return { drained: open.length - late.length, dropped: late.length, reasons }
}

/** Ends politely: the last close with unread bytes in the kernel would send a reset, and the client lose what was sent. */
function close(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.end()
  socket.removeAllListeners('data')
  socket.resume()
}

/** Who is in the set has not emitted 'close' yet; the stream's `closed` is true from destroy() on, and would be too early. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

function until(deadlineMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, deadlineMs - nowMs()).unref())
}
