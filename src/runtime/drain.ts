/** After commit the predecessor serves what could not move, until it ends or the deadline comes. */
import type { Socket } from 'node:net'
import { nowMs } from '../sys/clock.js'
import { clip, type Pause } from '../transfer/types.js'
import type { ReasonFields } from '../wire/fields.js'
import { type Following, type Stay, summary } from './follow.js'

/** How long a connection may take to close after it was ended at the deadline. */
const CLOSE_MS = 1000

export interface Drained {
  readonly drained: number
  readonly dropped: number
  /** Of the drained, then of the dropped. */
  readonly reasons: ReasonFields[]
  readonly followed?: { readonly sessions: number; readonly pauseMs: Pause | null }
}

/**
 * @param connections open connections; they leave the set by themselves as they close, and when they move.
 * @param left sessions that may move still, until the deadline. Those that came in an earlier transfer were not accepted here.
 */
export async function drain(connections: Set<Socket>, drainMs: number, left?: Following): Promise<Drained> {
  // What is destroyed has ended before, and only its 'close' is still to come.
  const all = new Set([...connections, ...(left?.sockets ?? [])])
  const open = new Map([...all].filter(({ destroyed }) => !destroyed).map((socket) => [socket, closed(socket)]))
  const sessions = new Map([...open.keys()].map((socket) => [socket, left?.stayOf(socket)]))
  if (left !== undefined)
    left.onMoved = (socket) => {
      connections.delete(socket)
      open.get(socket)?.resolve()
      open.delete(socket)
    }
  const deadlineMs = nowMs() + drainMs
  await Promise.race([Promise.all([...open.values()].map(({ promise }) => promise)), until(deadlineMs)])
  left?.onStop()
  const late = [...open.keys()].filter((socket) => !socket.closed)
  const dropped = late.map((socket) => left?.stayOf(socket) ?? NO_SESSION).map(lateAfter(drainMs))
  for (const socket of late) close(socket)
  const timer = setTimeout(() => {
    for (const socket of late) socket.destroy()
  }, CLOSE_MS)
  await Promise.all(late.map((socket) => open.get(socket)?.promise))
  clearTimeout(timer)
  for (const socket of late) open.delete(socket)
  const drained = [...open.keys()].map((socket) => endedHere(sessions.get(socket)))
  const { followed } = left ?? {}
  return {
    drained: drained.length,
    dropped: dropped.length,
    reasons: [...summary(drained), ...summary(dropped)],
    ...(followed === undefined ? {} : { followed }),
  }
}

const NO_SESSION: Stay = { reason: 'not a session' }

const lateAfter =
  (drainMs: number) =>
  ({ reason, ...stay }: Stay): Stay => ({
    ...stay,
    reason: clip(`${reason}, and still open after ${drainMs} ms of drain`),
  })

const endedHere = (stay: Stay | undefined): Stay => {
  const { reason, ...rest } = stay ?? NO_SESSION
  return {
    ...rest,
    reason: `${stay === undefined ? reason : 'it had not moved'}: served to its end by the predecessor`,
  }
}

/** Ends politely: the last close with unread bytes in the kernel would send a reset, and the client lose what was sent. */
function close(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.end()
  socket.removeAllListeners('data')
  socket.resume()
}

/** Who is in the set has not emitted 'close' yet; the stream's `closed` is true from destroy() on, and would be too early. */
function closed(socket: Socket): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  socket.once('close', resolve)
  return { promise, resolve }
}

function until(deadlineMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, deadlineMs - nowMs()).unref())
}
