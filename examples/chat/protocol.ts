/** What both releases share: rooms with their history, and lines out of a stream of bytes. */
import type { Socket } from 'node:net'

const HISTORY_LINES = 20
const NEWLINE = 0x0a

/** Longest line a client may send; a longer one ends the connection. */
export const LINE_LIMIT = 16_384

export class Rooms {
  readonly #histories = new Map<string, string[]>()
  // Who is in which room is no state of its own: every restored session enters its room again.
  readonly #members = new Map<string, Set<Socket>>()

  enter(room: string, socket: Socket): void {
    let members = this.#members.get(room)
    if (members === undefined) this.#members.set(room, (members = new Set()))
    members.add(socket)
  }

  leave(room: string, socket: Socket): void {
    const members = this.#members.get(room)
    members?.delete(socket)
    if (members?.size === 0) this.#members.delete(room)
  }

  /** Tells everybody else in the room, and remembers. */
  say(room: string, from: Socket, text: string): void {
    for (const socket of this.#members.get(room) ?? []) if (socket !== from) socket.write(`${text}\n`)
    const history = this.#histories.get(room) ?? []
    history.push(text)
    if (history.length > HISTORY_LINES) history.shift()
    this.#histories.set(room, history)
  }

  members(room: string): Iterable<Socket> {
    return this.#members.get(room) ?? []
  }

  history(room: string): readonly string[] {
    return this.#histories.get(room) ?? []
  }

  /** The shared state: the history of each room. */
  capture(): Map<string, string[]> {
    return this.#histories
  }

  restore(histories: Map<string, string[]>): void {
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
