/** What every subject serves: an idle session with state of a chosen size, which answers a ping with proof of both. */
import type { Socket } from 'node:net'

const FIELDS = 8
/** Above this a state is one Buffer: what is large is so in practice. */
const TEXT_BYTES = 1 << 16
export const REPLY_BYTES = 12

export interface BenchState {
  id: number
  lastSeen: number
  fields: string[]
  payload?: Buffer
}

/** State with exactly `bytes` characters in its fields, or bytes in its payload, different for each session. */
export function makeState(id: number, bytes: number): BenchState {
  if (bytes > TEXT_BYTES) return { id, lastSeen: 0, fields: [], payload: Buffer.alloc(bytes, `${id};`) }
  const fields = Array.from({ length: FIELDS }, (_, index) => {
    const length = Math.floor((bytes * (index + 1)) / FIELDS) - Math.floor((bytes * index) / FIELDS)
    return `${id * 2654435761 + index};`.repeat(Math.ceil(length / 2)).slice(0, length)
  })
  return { id, lastSeen: id * 1000, fields }
}

export const stateBytes = ({ fields, payload }: BenchState): number =>
  fields.reduce((sum, field) => sum + field.length, payload?.length ?? 0)

/** FNV-1a of the state as JSON: the same before and after the move, or something was lost. */
export function stateHash(state: BenchState): number {
  let hash = 0x811c9dc5
  const text = JSON.stringify([state.id, state.lastSeen, state.fields])
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** Answers each chunk with pid, size and hash of the state. */
export function serve(socket: Socket, stateOf: () => BenchState): void {
  socket.on('data', () => {
    const state = stateOf()
    const reply = Buffer.alloc(REPLY_BYTES)
    reply.writeUInt32LE(process.pid, 0)
    reply.writeUInt32LE(stateBytes(state), 4)
    reply.writeUInt32LE(stateHash(state), 8)
    socket.write(reply)
  })
  socket.on('error', () => socket.destroy())
}

/** Milliseconds of CLOCK_MONOTONIC, which all processes of the machine share. */
export const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6
