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
  isPipeFull,
  isUnrefed,
  keepOutputReadable,
  optionsOf,
  unreadInput,
  unsentOutput,
  unsupported,
  writesInFlight,
} from '../sys/node-internals.js'
import { HeldSocket } from './net/held.js'
import { fromRow, isTimeout, toRow } from './net/record.js'

const NOTHING = Buffer.alloc(0)

export const netTransport: Transport = {
  unsupported,

  refuses(socket) {
    if (!(socket instanceof net.Socket)) return 'it is not a net.Socket'
    if ('encrypted' in socket && socket.encrypted) return 'a TLS session cannot leave its process'
    if (socket.destroyed) return 'it is destroyed'
    if (descriptorOf(socket) === undefined && !socket.connecting) return 'it is not connected'
    return undefined
  },

  attach: keepOutputReadable,

  describe(socket) {
    wake(socket)
    return describe(socket, NOTHING, NOTHING)
  },

  follow: followUse,

  isUnsettled(socket) {
    // Between end() and the FIN the socket goes on by itself, and nobody calls it. What is written to a corked one goes
    // nowhere yet: the app's own write(), if it has put one in place of Node's, may be all that is called.
    return isBuffering(socket) || socket.writableCorked > 0 || (socket.writableEnded && !socket.writableFinished)
  },

  beginFreeze(): Freeze {
    let inFlight = writesInFlight()
    return {
      describe(socket) {
        wake(socket)
        let unsent = unsentOutput(socket, inFlight)
        if (unsent === undefined) {
          // Written by `capture`, since the freeze began.
          inFlight = writesInFlight()
          unsent = unsentOutput(socket, inFlight)
        }
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
      // Throws when it is no socket at all: to find out when it is first used, after commit, would be too late.
      binding().socketCookie(descriptor)
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
  const timeoutMs = isTimeout(socket.timeout) ? socket.timeout : 0
  const idleLeft = timeoutMs === 0 ? 0 : (idleLeftMs(socket) ?? timeoutMs)
  const { remoteAddress: address, remotePort: port, remoteFamily: family } = socket
  const described = toRow({
    allowHalfOpen: socket.allowHalfOpen,
    readEnded: socket.readableEnded,
    writeEnded: socket.writableEnded,
    finSent: socket.writableFinished,
    // A socket read by 'readable' looks paused, though nobody has paused it, and would stay so for a reader by 'data'. One
    // that pipe() has paused goes on when this process' destination drains; nobody would tell the successor's.
    paused: socket.isPaused() && socket.listenerCount('readable') === 0 && !isPipeFull(socket),
    unrefed: isUnrefed(socket),
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
