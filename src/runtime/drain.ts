/** After commit the predecessor serves what could not move, until it ends or the deadline comes. */
import type { Socket } from 'node:net'
import { clip, type Pause } from '../transfer/types.js'
import type { ReasonFields } from '../wire/fields.js'
import type { Drainer } from './adapter.js'
import { apart } from './apart.js'
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

export interface DrainOptions {
  readonly drainerOf?: (socket: Socket) => Drainer | undefined
  readonly whyHere?: (socket: Socket) => Stay | undefined
}

/**
 * @param connections open connections; they leave the set by themselves as they close, and when they move.
 * @param left until the deadline. Thousands, perhaps, that are about to go: nothing is done for each of them here. Those that
 * came in an earlier transfer are not among the connections.
 * @param more drainerOf: of connections that are drained in the way of an adapter. whyHere: of a session that nobody takes over; it
 * is looked at at once, since one that has ended is none any more.
 */
export async function drain(
  connections: Set<Socket>,
  drainMs: number,
  left?: Left,
  { drainerOf = () => undefined, whyHere = () => undefined }: DrainOptions = {},
): Promise<Drained> {
  const noSession = (socket: Socket): Stay => ({ reason: drainerOf(socket)?.reason ?? 'not a session' })
  const open = new Set<Socket>()
  const late = new Set<Socket>()
  const drained: Stay[] = []
  let look = (): void => undefined
  const follow = (socket: Socket, stay?: Stay): void => {
    open.add(socket)
    // Not the stream's `closed`: that is true from destroy() on, and would be too early.
    socket.once('close', () => {
      if (!open.delete(socket) || late.has(socket)) return
      drained.push(stay === undefined ? endedHere(noSession(socket)) : hadNotMoved(stay))
      look()
    })
  }
  // What is destroyed has ended before, and only its 'close' is still to come.
  for (const socket of connections) if (!socket.destroyed && !left?.has(socket)) follow(socket, whyHere(socket))
  if (left !== undefined) {
    left.onMoved = (socket) => {
      connections.delete(socket)
      look()
    }
    // It may move from now on; if it does, there will be no 'close'.
    left.onOpened = (socket) => open.delete(socket)
    left.onEnded = (socket, stay) => {
      if (!socket.destroyed) return follow(socket, stay)
      drained.push(hadNotMoved(stay))
      look()
    }
  }
  await new Promise<void>((resolve) => {
    // Keeps the process: a socket that is not read does not, and its client would be hung up on without a word.
    const timer = setTimeout(resolve, drainMs)
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
    else if (open.delete(socket)) drained.push(endedHere(noSession(socket)))
  }
  const stays = [...late].map((socket) => whyHere(socket) ?? noSession(socket))
  for (const socket of left?.sockets ?? []) {
    if (socket.destroyed) continue
    late.add(socket)
    stays.push(left?.stayOf(socket) ?? noSession(socket))
  }
  await closeAll(late, drainerOf)
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

async function closeAll(
  sockets: ReadonlySet<Socket>,
  drainerOf: (socket: Socket) => Drainer | undefined,
): Promise<void> {
  const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  const drainers = new Set<Drainer>()
  for (const socket of sockets) {
    const drainer = drainerOf(socket)
    if (drainer === undefined) close(socket)
    else drainers.add(drainer)
  }
  for (const drainer of drainers) apart(() => drainer.end())
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, CLOSE_MS)
  await Promise.all(closed)
  clearTimeout(timer)
}

const lateAfter =
  (drainMs: number) =>
  ({ reason, held: _, ...stay }: Stay): Stay => ({
    ...stay,
    reason: clip(`${reason}, and still open after ${drainMs} ms of drain`),
  })

const endedHere = ({ reason, held: _, ...rest }: Stay): Stay => ({
  ...rest,
  reason: `${reason}: served to its end by the predecessor`,
})

const hadNotMoved = (stay: Stay): Stay => endedHere({ ...stay, reason: 'it had not moved' })

/** Ends politely: the last close with unread bytes in the kernel would send a reset, and the client lose what was sent. */
function close(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.end()
  socket.removeAllListeners('data')
  socket.resume()
}
