/** Plain TCP: what of a `net.Socket` travels, and how it is built again. Kernel options stay with the socket by themselves. */
import net from 'node:net'
import * as v from 'valibot'
import { HandoverError } from '../errors.js'
import type { Adopted, Freeze, Transport } from '../runtime/transport.js'
import { binding } from '../sys/binding.js'
import {
  abandon,
  descriptorOf,
  hold,
  idleLeftMs,
  keepOutputReadable,
  release,
  resumeIdleTimer,
  unreadInput,
  unsentOutput,
  unsupported,
  writesInFlight,
} from '../sys/node-internals.js'

const length = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array)

/** A socket in a session record. */
const described = v.object({
  allowHalfOpen: v.boolean(),
  /** 'end' has been emitted: the app knows, and must not be told twice. */
  readEnded: v.boolean(),
  /** end() was called; with `finSent` the FIN is out too. */
  writeEnded: v.boolean(),
  finSent: v.boolean(),
  paused: v.boolean(),
  timeoutMs: length,
  idleLeftMs: v.pipe(v.number(), v.finite(), v.minValue(0)),
  /** Counted so far; what is unsent counts again where it is written. */
  bytesRead: length,
  bytesWritten: length,
  peer: v.nullable(v.object({ address: v.string(), port: length, family: v.string() })),
  unread: bytes,
  unsent: bytes,
})
type Described = v.InferOutput<typeof described>

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

  beginFreeze(): Freeze {
    const inFlight = writesInFlight()
    return {
      describe(socket) {
        const descriptor = descriptorOf(socket)
        const unsent = unsentOutput(socket, inFlight)
        if (descriptor === undefined) throw new HandoverError('HANDOVER_NOT_MOVABLE', 'the socket has no descriptor')
        if (unsent === undefined)
          throw new HandoverError(
            'HANDOVER_NOT_MOVABLE',
            'output written before the socket became a session is still in flight',
          )
        return { descriptor, described: describe(socket, unsent) }
      },
      abandon: (socket) => abandon(socket, inFlight),
    }
  },

  adopt,
}

function describe(socket: net.Socket, unsent: Buffer): Described {
  const timeoutMs = socket.timeout ?? 0
  const { remoteAddress: address, remotePort: port, remoteFamily: family } = socket
  return {
    allowHalfOpen: socket.allowHalfOpen,
    readEnded: socket.readableEnded,
    writeEnded: socket.writableEnded,
    finSent: socket.writableFinished,
    // A socket read by 'readable' looks paused, though nobody has paused it, and would stay so for a reader by 'data'.
    paused: socket.isPaused() && socket.listenerCount('readable') === 0,
    timeoutMs,
    idleLeftMs: idleLeftMs(socket) ?? timeoutMs,
    bytesRead: socket.bytesRead,
    bytesWritten: Math.max(0, socket.bytesWritten - unsent.length),
    peer: address === undefined || port === undefined || family === undefined ? null : { address, port, family },
    unread: unreadInput(socket),
    unsent,
  }
}

function adopt(descriptor: number, value: unknown): Adopted {
  let socket: net.Socket
  let state: Described
  try {
    state = v.parse(described, value)
    // The kernel is the one truth about its options; Node's caches of them start at its defaults, and a stale cache
    // makes setNoDelay(false) a silent no-op.
    const { noDelay, keepAlive, keepAliveIdleSeconds } = binding().socketOptions(descriptor)
    const { allowHalfOpen, readEnded, finSent } = state
    const options = {
      allowHalfOpen,
      noDelay,
      keepAlive,
      keepAliveInitialDelay: keepAliveIdleSeconds * 1000,
      readable: !readEnded,
      writable: !finSent,
    }
    socket = new net.Socket({ fd: descriptor, manualStart: true, ...options } as net.SocketConstructorOpts)
  } catch (error) {
    binding().close(descriptor)
    throw error
  }
  keepOutputReadable(socket)
  hold(socket, state.peer ?? undefined)
  countFrom(socket, 'bytesRead', state.bytesRead)
  countFrom(socket, 'bytesWritten', state.bytesWritten)
  // First in line, before anything `restore` may write.
  if (state.unsent.length > 0) socket.write(state.unsent)
  if (state.writeEnded && !state.finSent) socket.end()
  if (state.paused) socket.pause()
  return {
    socket,
    release() {
      if (socket.destroyed) return
      // Unless `restore` has set a timeout of its own, the idle time goes on from where it was.
      if (state.timeoutMs > 0 && (socket.timeout ?? state.timeoutMs) === state.timeoutMs)
        resumeIdleTimer(socket, state.timeoutMs, state.idleLeftMs)
      apart(() => {
        // Not unshift(): that goes past the decoder, and an app that has set an encoding would be given bytes.
        if (state.unread.length > 0) socket.push(state.unread)
      })
      apart(() => release(socket))
    },
    discard: () => abandon(socket, new Map()),
  }
}

/** Makes the handle's own count, which begins at 0 with each process, go on from `base`. */
function countFrom(socket: net.Socket, name: 'bytesRead' | 'bytesWritten', base: number): void {
  if (base === 0) return
  const own = Object.getOwnPropertyDescriptor(net.Socket.prototype, name)?.get
  Object.defineProperty(socket, name, {
    configurable: true,
    enumerable: true,
    get: () => base + ((own?.call(socket) as number | undefined) ?? 0),
  })
}

/** A handler of the app's that throws is uncaught, as ever, but does not keep the other sessions from going on. */
function apart(run: () => void): void {
  try {
    run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
