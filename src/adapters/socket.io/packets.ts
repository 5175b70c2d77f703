/** Packets as the other process gets them: as the client would, so that whatever can be sent to a client can cross. */
import type { BroadcastOptions, Io } from './internals.js'
import type { Message } from './stream.js'

export interface Packet {
  readonly type: number
  readonly data: unknown[]
  readonly id?: number
  readonly nsp?: string
}

export const framesOf = (io: Io, packet: unknown): unknown[] => io.encoder.encode(packet)

export function packetOf(io: Io, frames: unknown): Packet {
  let packet: Packet | undefined
  const decoder = new io._parser.Decoder()
  decoder.on('decoded', (decoded) => {
    packet = decoded as Packet
  })
  for (const frame of frames as unknown[]) decoder.add(frame instanceof Uint8Array ? Buffer.from(frame) : frame)
  if (packet === undefined) throw new Error('a packet came in part')
  return packet
}

export function spread({ rooms, except = new Set(), flags = {} }: BroadcastOptions): Record<string, unknown> {
  return { rooms: [...rooms], except: [...except], flags: { ...flags } }
}

export function optionsIn({ rooms, except, flags }: Message): Required<BroadcastOptions> {
  return {
    rooms: new Set(rooms as string[]),
    except: new Set(except as string[]),
    flags: flags as Record<string, unknown>,
  }
}
