/** A socket the successor has built, held still until commit, and what becomes of it then. */
import type net from 'node:net'
import { apart } from '../../runtime/apart.js'
import type { Adopted } from '../../runtime/transport.js'
import { binding } from '../../sys/binding.js'
import { nowMs } from '../../sys/clock.js'
import {
  AdoptedSocket,
  applyOptions,
  attach,
  countFrom,
  dropHeld,
  endReadableSilently,
  endWritableSilently,
  type Gate,
  hasOptions,
  keepOutputReadable,
  keepUnwritten,
  knowOptions,
  knowPeer,
  knowTimeout,
  release,
  resumeIdleTimer,
  settle,
  timerOf,
  unrefSilently,
  writeFirst,
} from '../../sys/node-internals.js'
import type { Parked, Parking } from '../../sys/parking.js'
import { type Described, fromRow, isTimeout } from './record.js'

const NOTHING = Buffer.alloc(0)

export class HeldSocket implements Adopted, Gate, Parked {
  readonly descriptor: number
  readonly #socket: AdoptedSocket
  readonly #parking: Parking
  #state: Described
  /** What of `socket.timeout` is the predecessor's: anything else is the app's. */
  #timeout: number | undefined
  /** Unsent output that came after the app got the socket, which may have written since: it still goes first. */
  #unsentFirst: Uint8Array = NOTHING
  /** Whose the descriptor is: this object's, until the socket has its handle; nobody's after it was closed. */
  #owner: 'held' | 'handle' | 'none' = 'held'
  #isReleased = false

  /** Owns the descriptor, unless it throws. */
  constructor(descriptor: number, state: Described, parking: Parking) {
    this.descriptor = descriptor
    this.#state = state
    this.#parking = parking
    const socket = new AdoptedSocket(this, state.allowHalfOpen)
    this.#socket = socket
    keepOutputReadable(socket)
    if (state.readEnded) endReadableSilently(socket)
    if (state.finSent) endWritableSilently(socket)
    knowOptions(socket, state)
    this.#know(state)
    parking.park(this)
  }

  get socket(): net.Socket {
    return this.#socket
  }

  get isLive(): boolean {
    return this.#parking.isLive
  }

  get type(): 'TCP' | 'Pipe' {
    return this.#state.type
  }

  isHeld(): boolean {
    if (this.#parking.isLive) {
      this.release()
      return false
    }
    if (this.#socket.writableLength > 0 || this.#socket.writableEnded) this.onWanted()
    return true
  }

  onWanted(): void {
    this.#parking.want(this)
  }

  onLeft(): void {
    this.#parking.leave(this)
    if (this.#owner === 'held') this.#close()
  }

  attach(): void {
    if (this.#owner !== 'held') return
    attach(this.#socket, this.descriptor, this.#state.type)
    this.#owner = 'handle'
  }

  update(value: unknown, restored: boolean): void {
    const before = this.#state
    const state = fromRow(value)
    this.#state = state
    const socket = this.#socket
    if (socket.destroyed) return
    // What `restore` has set stays: the kernel is told at commit.
    if (hasOptions(socket, before)) knowOptions(socket, state)
    if (socket.allowHalfOpen === before.allowHalfOpen) socket.allowHalfOpen = state.allowHalfOpen
    this.#know(state)
    if (state.unread.length > 0 || state.unsent.length > 0) this.onWanted()
    if (state.readEnded && !before.readEnded) endReadableSilently(socket)
    if (state.finSent && !before.finSent) {
      endWritableSilently(socket)
      keepUnwritten(socket)
    }
    if (!restored) return
    this.#unsentFirst = state.unsent
    if (state.writeEnded && !before.writeEnded && !state.finSent) socket.end()
    if (state.paused && !before.paused) socket.pause()
    if (!state.paused && before.paused) socket.resume()
  }

  prepare(): void {
    const { unread, unsent, writeEnded, finSent, paused } = this.#state
    if (unread.length > 0) this.onWanted()
    if (unsent.length > 0) this.#socket.write(unsent)
    if (writeEnded && !finSent) this.#socket.end()
    if (paused) this.#socket.pause()
  }

  release(): void {
    this.#parking.leave(this)
    if (this.#isReleased || this.#socket.destroyed) return
    this.#isReleased = true
    // Whoever has woken it, what comes of it later belongs to no request of theirs.
    this.#parking.apart(() => this.#release())
  }

  #release(): void {
    const socket = this.#socket
    try {
      this.attach()
    } catch (error) {
      socket.destroy(error as Error)
      return
    }
    settle(socket)
    applyOptions(socket, this.#state)
    if (this.#state.unrefed) unrefSilently(socket)
    this.#resumeTimer()
    const { unread } = this.#state
    apart(() => {
      // Not unshift(): that goes past the decoder, and an app that has set an encoding would be given bytes.
      if (unread.length > 0) socket.push(unread)
    })
    apart(() => {
      if (this.#unsentFirst.length > 0) writeFirst(socket, this.#unsentFirst)
      release(socket)
    })
  }

  /** Unless `restore` has set a timeout of its own, which begins now, the idle time goes on from where it was. */
  #resumeTimer(): void {
    const socket = this.#socket
    const { timeoutMs, idleAtMs } = this.#state
    const own = this.#hasOwnTimeout() ? socket.timeout : timeoutMs
    if (timeoutMs > 0 && own === timeoutMs)
      resumeIdleTimer(socket, timeoutMs, idleAtMs === null ? Number.POSITIVE_INFINITY : idleAtMs - nowMs())
    else if (isTimeout(own) && own > 0) socket.setTimeout(own)
  }

  #hasOwnTimeout(): boolean {
    return timerOf(this.#socket) !== undefined || this.#socket.timeout !== this.#timeout
  }

  discard(): void {
    this.#parking.leave(this)
    if (dropHeld(this.#socket) && this.#owner === 'held') this.#close()
  }

  #know(state: Described): void {
    if (!this.#hasOwnTimeout() && state.timeoutMs !== (this.#timeout ?? 0)) {
      knowTimeout(this.#socket, state.timeoutMs)
      this.#timeout = state.timeoutMs
    }
    countFrom(this.#socket, state.bytesRead, state.bytesWritten)
    if (state.peer !== null) knowPeer(this.#socket, state.peer)
  }

  #close(): void {
    this.#owner = 'none'
    binding().close(this.descriptor)
  }
}
