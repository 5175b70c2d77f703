/** After commit the predecessor serves what could not move, until it ends or the deadline comes. */
import type { Socket } from 'node:net'
import { clip, type Pause } from '../transfer/types.js'
import type { ReasonFields } from '../wire/fields.js'
import type { Following } from './follow.js'
import { type Stay, summary } from './stay.js'

/** How long a connection may take to close after it was ended at the deadline. */
const CLOSE_MS = 1000

export interface Drained {
  readonly drained: number
  readonly dropped: number
  /** Of the drained, then of the dropped. */
  readonly reasons: ReasonFields[]
  /** Moved at the deadline, though they said "not now". */
  readonly forced?: ReasonFields[]
  readonly followed?: { readonly sessions: number; readonly pauseMs: Pause | null }
}

/** Sessions that may move still. `Following` is one. */
export type Left = Pick<
  Following,
  | 'size'
  | 'sockets'
  | 'has'
  | 'stayOf'
  | 'followed'
  | 'force'
  | 'forced'
  | 'onStop'
  | 'onMoved'
  | 'onOpened'
  | 'onEnded'
>

/**
 * @param connections open connections; they leave the set by themselves as they close, and when they move.
 * @param left until the deadline. Thousands, perhaps, that are about to go: nothing is done for each of them here. Those that
 * came in an earlier transfer are not among the connections.
 */
export async function drain(connections: Set<Socket>, drainMs: number, left?: Left): Promise<Drained> {
  const open = new Set<Socket>()
  const late = new Set<Socket>()
  const drained: Stay[] = []
  let look = (): void => undefined
  const follow = (socket: Socket, stay?: Stay): void => {
    open.add(socket)
    // Not the stream's `closed`: that is true from destroy() on, and would be too early.
    socket.once('close', () => {
      if (!open.delete(socket) || late.has(socket)) return
      drained.push(endedHere(stay))
      look()
    })
  }
  // What is destroyed has ended before, and only its 'close' is still to come.
  for (const socket of connections) if (!socket.destroyed && !left?.has(socket)) follow(socket)
  if (left !== undefined) {
    left.onMoved = (socket) => {
      connections.delete(socket)
      look()
    }
    // It may move from now on; if it does, there will be no 'close'.
    left.onOpened = (socket) => open.delete(socket)
    left.onEnded = (socket, stay) => {
      if (!socket.destroyed) return follow(socket, stay)
      drained.push(endedHere(stay))
      look()
    }
  }
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, drainMs).unref()
    look = () => {
      if (open.size > 0 || (left?.size ?? 0) > 0) return
      clearTimeout(timer)
      resolve()
    }
    look()
  })
  if (left !== undefined) {
    if (left.size > 0) await within(CLOSE_MS, left.force())
    left.onStop()
    // Whoever ends from here on is ended, and counted as that.
    left.onEnded = () => undefined
  }
  for (const socket of open) {
    if (!socket.closed) late.add(socket)
    else if (open.delete(socket)) drained.push(endedHere(undefined))
  }
  const stays = [...late].map(() => NO_SESSION)
  for (const socket of left?.sockets ?? []) {
    if (socket.destroyed) continue
    late.add(socket)
    stays.push(left?.stayOf(socket) ?? NO_SESSION)
  }
  await closeAll(late)
  const dropped = stays.map(lateAfter(drainMs))
  const { followed, forced = [] } = left ?? {}
  return {
    drained: drained.length,
    dropped: dropped.length,
    reasons: [...summary(drained), ...summary(dropped)],
    ...(followed === undefined ? {} : { followed }),
    ...(forced.length === 0 ? {} : { forced: summary(forced.map(({ held: _, ...stay }) => stay)) }),
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const bound = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, bound])
  clearTimeout(timer)
}

async function closeAll(sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  for (const socket of sockets) close(socket)
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, CLOSE_MS)
  await Promise.all(closed)
  clearTimeout(timer)
}

const NO_SESSION: Stay = { reason: 'not a session' }

const lateAfter =
  (drainMs: number) =>
  ({ reason, held: _, ...stay }: Stay): Stay => ({
    ...stay,
    reason: clip(`${reason}, and still open after ${drainMs} ms of drain`),
  })

const endedHere = (stay: Stay | undefined): Stay => {
  const { reason, held: _, ...rest } = stay ?? NO_SESSION
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
