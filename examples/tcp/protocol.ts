/** What both releases share: rooms with their history, and lines out of a stream of bytes. */
import type { Socket } from 'node:net'

const HISTORY_LINES = 20
const NEWLINE = 0x0a

/** Longest line a client may send; a longer one ends the connection. */
export const LINE_LIMIT = 16_384

export class Rooms<Session extends { room: string }> {
  readonly #histories = new Map<string, string[]>()
  // Who is in which room is no state of its own: every restored session enters its room again.
  readonly #members = new Map<string, Map<Socket, Session>>()

  enter(socket: Socket, session: Session): void {
    let members = this.#members.get(session.room)
    if (members === undefined) this.#members.set(session.room, (members = new Map()))
    members.set(socket, session)
  }

  leave(socket: Socket, session: Session): void {
    const members = this.#members.get(session.room)
    members?.delete(socket)
    if (members?.size === 0) this.#members.delete(session.room)
  }

  move(socket: Socket, session: Session, room: string): void {
    if (room === session.room) return
    this.leave(socket, session)
    session.room = room
    this.enter(socket, session)
  }

  /** Tells everybody else in the room, and remembers. */
  say(room: string, from: Socket, text: string): void {
    for (const socket of this.#members.get(room)?.keys() ?? []) if (socket !== from) socket.write(`${text}\n`)
    const history = this.#histories.get(room) ?? []
    history.push(text)
    if (history.length > HISTORY_LINES) history.shift()
    this.#histories.set(room, history)
  }

  members(room: string): Iterable<Session> {
    return this.#members.get(room)?.values() ?? []
  }

  history(room: string): readonly string[] {
    return this.#histories.get(room) ?? []
  }

  /** The shared state: the history of each room. */
  capture(): Map<string, string[]> {
    return this.#histories
  }

  /** Replaces what is there: with `precopy` it comes once before the sessions, and again if it has changed since. */
  restore(histories: Map<string, string[]>): void {
    this.#histories.clear()
    for (const [room, history] of histories) this.#histories.set(room, history)
  }
}

/**
 * Takes the whole lines out of the half line kept so far and a new chunk. The rest is again half a line (it may end in
 * half a character, so it stays bytes), and belongs into the session: otherwise an upgrade would lose it.
 */
export function takeLines(partial: Uint8Array, chunk: Buffer): { lines: string[]; rest: Buffer } {
  const bytes = Buffer.concat([partial, chunk])
  const lines: string[] = []
  let start = 0
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    lines.push(bytes.toString('utf8', start, end).replace(/\r$/, ''))
    start = end + 1
  }
  return { lines, rest: bytes.subarray(start) }
}
