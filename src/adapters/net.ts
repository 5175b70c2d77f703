/** Plain TCP: what of a `net.Socket` travels. Kernel options stay with the connection by themselves. */
import net from 'node:net'
import { HandoverError } from '../errors.js'
import type { Description, Freeze, Transport } from '../runtime/transport.js'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import {
  abandon,
  descriptorOf,
  followUse,
  idleLeftMs,
  isBuffering,
  isPipe,
  keepOutputReadable,
  optionsOf,
  unreadInput,
  unsentOutput,
  unsupported,
  writesInFlight,
} from '../sys/node-internals.js'
import { HeldSocket } from './net/held.js'
import { fromRow, toRow } from './net/record.js'

const NOTHING = Buffer.alloc(0)

export const netTransport: Transport = {
  unsupported,

  refuses(socket) {
    if (!(socket instanceof net.Socket)) return 'it is not a net.Socket'
    if ('encrypted' in socket && socket.encrypted) return 'a TLS session cannot leave its process'
    if (socket.destroyed) return 'it is destroyed'
    if (descriptorOf(socket) === undefined) return 'it is not connected'
    return undefined
  },

  attach: keepOutputReadable,

  describe(socket) {
    wake(socket)
    return describe(socket, NOTHING, NOTHING)
  },

  follow: followUse,

  isUnsettled(socket) {
    // Between end() and the FIN the socket goes on by itself, and nobody calls it.
    return isBuffering(socket) || (socket.writableEnded && !socket.writableFinished)
  },

  beginFreeze(): Freeze {
    const inFlight = writesInFlight()
    return {
      describe(socket) {
        wake(socket)
        const unsent = unsentOutput(socket, inFlight)
        if (unsent === undefined)
          throw new HandoverError(
            'HANDOVER_NOT_MOVABLE',
            'output written before the socket became a session is still in flight',
          )
        return describe(socket, unreadInput(socket), unsent)
      },
      abandon: (socket) => abandon(socket, inFlight),
    }
  },

  adopt(descriptor, described, parking) {
    try {
      return new HeldSocket(descriptor, fromRow(described), parking)
    } catch (error) {
      binding().close(descriptor)
      throw error
    }
  },
}

/** A socket that is parked since the last upgrade wakes when it is asked; what it is to have (its idle timer) it has from then on. */
function wake(socket: net.Socket): void {
  if (socket.connecting) throw new HandoverError('HANDOVER_NOT_MOVABLE', 'the socket is still connecting')
}

function describe(socket: net.Socket, unread: Buffer, unsent: Buffer): Description {
  const descriptor = descriptorOf(socket)
  if (descriptor === undefined) throw new HandoverError('HANDOVER_NOT_MOVABLE', 'the socket has no descriptor')
  const timeoutMs = socket.timeout ?? 0
  const idleLeft = timeoutMs === 0 ? 0 : (idleLeftMs(socket) ?? timeoutMs)
  const { remoteAddress: address, remotePort: port, remoteFamily: family } = socket
  const described = toRow({
    allowHalfOpen: socket.allowHalfOpen,
    readEnded: socket.readableEnded,
    writeEnded: socket.writableEnded,
    finSent: socket.writableFinished,
    // A socket read by 'readable' looks paused, though nobody has paused it, and would stay so for a reader by 'data'.
    paused: socket.isPaused() && socket.listenerCount('readable') === 0,
    ...optionsOf(socket),
    type: isPipe(socket) ? 'Pipe' : 'TCP',
    timeoutMs,
    idleAtMs: timeoutMs > 0 && Number.isFinite(idleLeft) ? nowMs() + idleLeft : null,
    bytesRead: socket.bytesRead,
    bytesWritten: Math.max(0, socket.bytesWritten - unsent.length),
    peer: address === undefined || port === undefined || family === undefined ? null : { address, port, family },
    unread,
    unsent,
  })
  return { descriptor, described, bytes: unread.length + unsent.length }
}
