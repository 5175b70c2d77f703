/** Plain TCP: what of a `net.Socket` travels, and how it is built again. Kernel options stay with the socket by themselves. */
import net from 'node:net'
import * as v from 'valibot'
import { HandoverError } from '../errors.js'
import type { Adopted, Description, Freeze, Transport } from '../runtime/transport.js'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import {
  abandon,
  descriptorOf,
  endReadableSilently,
  endWritableSilently,
  hold,
  idleLeftMs,
  isBuffering,
  keepOutputReadable,
  matchOptions,
  release,
  resumeIdleTimer,
  settle,
  unreadInput,
  unsentOutput,
  unsupported,
  unwatchActivity,
  watchActivity,
  writeFirst,
  writesInFlight,
} from '../sys/node-internals.js'
import type { Parking } from '../sys/parking.js'

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
  /** When the idle timer fires, on the machine's monotonic clock (nowMs); null when it has, and is not to before the next activity. */
  idleAtMs: v.nullable(v.pipe(v.number(), v.finite())),
  /** Counted so far; what is unsent counts again where it is written. */
  bytesRead: length,
  bytesWritten: length,
  peer: v.nullable(v.object({ address: v.string(), port: length, family: v.string() })),
  unread: bytes,
  unsent: bytes,
})
type Described = v.InferOutput<typeof described>

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
    return describe(socket, NOTHING, NOTHING)
  },

  watch: watchActivity,
  unwatch: unwatchActivity,
  isBuffering,

  stamp(socket) {
    const { writableEnded, writableFinished, readableEnded } = socket
    const flags = +socket.isPaused() | (+writableEnded << 1) | (+writableFinished << 2) | (+readableEnded << 3)
    return (socket.timeout ?? 0) * 16 + flags
  },

  beginFreeze(): Freeze {
    const inFlight = writesInFlight()
    return {
      describe(socket) {
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

  adopt,
}

function describe(socket: net.Socket, unread: Buffer, unsent: Buffer): Description {
  const descriptor = descriptorOf(socket)
  if (descriptor === undefined) throw new HandoverError('HANDOVER_NOT_MOVABLE', 'the socket has no descriptor')
  const timeoutMs = socket.timeout ?? 0
  const idleLeft = idleLeftMs(socket) ?? timeoutMs
  const { remoteAddress: address, remotePort: port, remoteFamily: family } = socket
  const described: Described = {
    allowHalfOpen: socket.allowHalfOpen,
    readEnded: socket.readableEnded,
    writeEnded: socket.writableEnded,
    finSent: socket.writableFinished,
    // A socket read by 'readable' looks paused, though nobody has paused it, and would stay so for a reader by 'data'.
    paused: socket.isPaused() && socket.listenerCount('readable') === 0,
    timeoutMs,
    idleAtMs: Number.isFinite(idleLeft) ? nowMs() + idleLeft : null,
    bytesRead: socket.bytesRead,
    bytesWritten: Math.max(0, socket.bytesWritten - unsent.length),
    peer: address === undefined || port === undefined || family === undefined ? null : { address, port, family },
    unread,
    unsent,
  }
  return { descriptor, described, bytes: unread.length + unsent.length }
}

function adopt(descriptor: number, value: unknown, parking: Parking): Adopted {
  let held: HeldSocket
  try {
    held = new HeldSocket(descriptor, v.parse(described, value), parking)
  } catch (error) {
    binding().close(descriptor)
    throw error
  }
  return held
}

class HeldSocket implements Adopted {
  readonly socket: net.Socket
  #state: Described
  /** Unsent output that came after the app got the socket, which may have written since: it still goes first. */
  #unsentFirst: Uint8Array = NOTHING
  readonly #descriptor: number
  readonly #parking: Parking
  #isReleased = false
  isWanted = false

  constructor(descriptor: number, state: Described, parking: Parking) {
    this.#state = state
    this.#descriptor = descriptor
    this.#parking = parking
    const { allowHalfOpen, readEnded, finSent } = state
    const options = { allowHalfOpen, readable: !readEnded, writable: !finSent }
    this.socket = new net.Socket({ fd: descriptor, manualStart: true, ...options } as net.SocketConstructorOpts)
    keepOutputReadable(this.socket)
    matchOptions(this.socket, binding().socketOptions(descriptor))
    hold(this.socket, state.peer ?? undefined, {
      isLive: () => parking.isLive,
      wake: () => this.release(),
      onWanted: () => {
        this.isWanted = true
      },
      onLeft: () => parking.leave(descriptor),
    })
    parking.park(descriptor, () => this.release())
    countFrom(this.socket, 'bytesRead', () => this.#state.bytesRead)
    countFrom(this.socket, 'bytesWritten', () => this.#state.bytesWritten)
  }

  update(value: unknown, restored: boolean): void {
    const before = this.#state
    const state = v.parse(described, value)
    this.#state = state
    this.isWanted ||= state.unread.length > 0 || state.unsent.length > 0
    if (this.socket.destroyed) return
    if (state.readEnded && !before.readEnded) endReadableSilently(this.socket)
    if (state.finSent && !before.finSent) endWritableSilently(this.socket)
    if (!restored) return
    this.#unsentFirst = state.unsent
    if (state.writeEnded && !before.writeEnded && !state.finSent) this.socket.end()
    if (state.paused && !before.paused) this.socket.pause()
    if (!state.paused && before.paused) this.socket.resume()
  }

  prepare(): void {
    const { unread, unsent, writeEnded, finSent, paused } = this.#state
    this.isWanted ||= unread.length > 0
    if (unsent.length > 0) this.socket.write(unsent)
    if (writeEnded && !finSent) this.socket.end()
    if (paused) this.socket.pause()
  }

  release(): void {
    const { socket } = this
    if (this.#isReleased || socket.destroyed) return
    this.#isReleased = true
    this.#parking.leave(this.#descriptor)
    settle(socket, true)
    // Once more: the app may have set others in the predecessor since the socket was copied.
    matchOptions(socket, binding().socketOptions(this.#descriptor))
    const { timeoutMs, idleAtMs, unread } = this.#state
    // Unless `restore` has set a timeout of its own, which begins now, the idle time goes on from where it was.
    if (timeoutMs > 0 && (socket.timeout ?? timeoutMs) === timeoutMs)
      resumeIdleTimer(socket, timeoutMs, idleAtMs === null ? Number.POSITIVE_INFINITY : idleAtMs - nowMs())
    else if (socket.timeout !== undefined) socket.setTimeout(socket.timeout)
    apart(() => {
      // Not unshift(): that goes past the decoder, and an app that has set an encoding would be given bytes.
      if (unread.length > 0) socket.push(unread)
    })
    apart(() => {
      if (this.#unsentFirst.length > 0) writeFirst(socket, this.#unsentFirst)
      release(socket)
    })
  }

  discard(): void {
    this.#parking.leave(this.#descriptor)
    abandon(this.socket, new Map())
  }
}

/** Makes the handle's own count, which begins at 0 with each process, go on from where it was. */
function countFrom(socket: net.Socket, name: 'bytesRead' | 'bytesWritten', base: () => number): void {
  const own = Object.getOwnPropertyDescriptor(net.Socket.prototype, name)?.get
  Object.defineProperty(socket, name, {
    configurable: true,
    enumerable: true,
    get: () => base() + ((own?.call(socket) as number | undefined) ?? 0),
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
