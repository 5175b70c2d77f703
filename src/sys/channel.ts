/** One end of a SEQPACKET socketpair: whole messages with their descriptors, by the event loop or, for a freeze, without it. */
import { binding, POLLIN, POLLOUT, type Watcher } from './binding.js'
import { nowMs } from './clock.js'

/** Room for the largest message a send buffer of the kernel's default maximum lets through. */
const RECEIVE_BYTES = 512 * 1024
/** poll(2) takes an int; a deadline beyond it, Infinity among them, is none. */
const MAX_POLL_MS = 0x7fffffff
/** Messages handled in one turn of the loop; the rest comes in the next, since readiness is level-triggered. */
const TURN_MESSAGES = 32

// One for all channels of a thread: what arrives is copied out before anything else can run.
let scratch: Buffer | undefined

export interface Packet {
  readonly bytes: Buffer
  readonly descriptors: number[]
}

export interface ChannelHandler {
  /** Owns the descriptors of the packet. */
  onPacket(packet: Packet): void
  /**
   * A message came whose descriptors did not fit into this process (RLIMIT_NOFILE): it is lost, and the channel goes on.
   * Without this handler it ends.
   */
  onTruncated?(): void
  /** End of file, or the error that ended it. Called once; the channel is closed by then. */
  onEnd(error?: Error): void
}

interface Queued {
  readonly bytes: Uint8Array
  /** Duplicates of the channel's own: the sender may close its own meanwhile. */
  readonly descriptors: number[]
}

export class Channel {
  readonly #fd: number
  readonly #queue: Queued[] = []
  #watcher: Watcher | undefined
  #handler: ChannelHandler | undefined
  #open = true
  #peerIsGone = false

  /** Takes over the descriptor. */
  constructor(fd: number) {
    this.#fd = fd
  }

  get isOpen(): boolean {
    return this.#open
  }

  /** True once something could not be sent for want of a peer, or its end of file was read. */
  get peerIsGone(): boolean {
    return this.#peerIsGone
  }

  /** Begins to deliver what arrives. */
  start(handler: ChannelHandler): void {
    this.#handler = handler
    this.#watcher = binding().watch(this.#fd, (events) => this.#onReady(events))
    this.#watcher.start(this.#queue.length === 0 ? POLLIN : POLLIN | POLLOUT)
  }

  ref(): void {
    this.#watcher?.ref()
  }

  unref(): void {
    this.#watcher?.unref()
  }

  /** Sends now, or in order when the other side takes up again. The caller keeps its descriptors and may close them at once. */
  send(bytes: Uint8Array, descriptors: readonly number[]): void {
    if (!this.#open) return
    if (this.#queue.length === 0 && this.#trySend(bytes, descriptors)) return
    this.#queue.push({ bytes, descriptors: descriptors.map((fd) => binding().duplicate(fd)) })
    this.#watcher?.start(POLLIN | POLLOUT)
  }

  /** Sends while blocking this thread. `false` at the deadline; a peer that is gone counts as sent, its end of file follows. */
  sendBefore(deadlineMs: number, bytes: Uint8Array, descriptors: readonly number[]): boolean {
    // Closed here at the peer's end of file: the number may be another file's by now.
    if (!this.#open) return true
    if (!this.#flushBefore(deadlineMs)) return false
    while (!this.#trySend(bytes, descriptors)) if (!this.#wait(POLLOUT, deadlineMs)) return false
    return true
  }

  /** Receives while blocking this thread: a packet, 'end' at end of file, or 'silence' at the deadline. */
  receiveBefore(deadlineMs: number): Packet | 'end' | 'silence' {
    for (;;) {
      if (!this.#open) return 'end'
      const packet = this.#tryReceive()
      if (packet !== undefined) return packet
      if (!this.#wait(POLLIN, deadlineMs)) return 'silence'
    }
  }

  /** Blocks this thread until something can be received, `other` can be read or has ended, or the deadline. */
  waitBefore(deadlineMs: number, other: number): void {
    const leftMs = deadlineMs - nowMs()
    if (this.#open && leftMs > 0)
      binding().poll([this.#fd, other], [POLLIN, POLLIN], Math.min(MAX_POLL_MS, Math.ceil(leftMs)))
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#watcher?.close()
    for (const { descriptors } of this.#queue.splice(0)) closeAll(descriptors)
    binding().close(this.#fd)
  }

  #wait(events: number, deadlineMs: number): boolean {
    const leftMs = deadlineMs - nowMs()
    const timeoutMs = leftMs > MAX_POLL_MS ? -1 : Math.ceil(leftMs)
    return leftMs > 0 && binding().poll([this.#fd], [events], timeoutMs)[0] !== 0
  }

  #flushBefore(deadlineMs: number): boolean {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#trySend(next.bytes, next.descriptors)) closeAll(this.#queue.shift()?.descriptors ?? [])
      else if (!this.#wait(POLLOUT, deadlineMs)) return false
    }
    return true
  }

  #onReady(events: number): void {
    if ((events & POLLOUT) !== 0 && this.#open) this.#flushWhatFits()
    for (let turn = 0; turn < TURN_MESSAGES && this.#open; turn++) {
      let packet: Packet | 'end' | undefined
      try {
        packet = this.#tryReceive()
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ECTRUNC' && this.#handler?.onTruncated !== undefined) {
          this.#handler.onTruncated()
          continue
        }
        this.close()
        this.#handler?.onEnd(error as Error)
        return
      }
      if (packet === undefined) return
      if (packet === 'end') {
        this.close()
        this.#handler?.onEnd()
        return
      }
      this.#handler?.onPacket(packet)
    }
  }

  #flushWhatFits(): void {
    try {
      if (this.#flushBefore(0)) this.#watcher?.start(POLLIN)
    } catch (error) {
      this.close()
      this.#handler?.onEnd(error as Error)
    }
  }

  #trySend(bytes: Uint8Array, descriptors: readonly number[]): boolean {
    try {
      return binding().send(this.#fd, bytes, descriptors)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // What was received before the peer went is still to be read; its end of file tells the rest.
      if (code === 'EPIPE' || code === 'ECONNRESET') {
        this.#peerIsGone = true
        return true
      }
      throw error
    }
  }

  #tryReceive(): Packet | 'end' | undefined {
    scratch ??= Buffer.allocUnsafeSlow(RECEIVE_BYTES)
    const received = binding().receive(this.#fd, scratch)
    if (received === undefined) return undefined
    if (received.bytes === 0) {
      closeAll(received.descriptors)
      this.#peerIsGone = true
      return 'end'
    }
    return { bytes: Buffer.from(scratch.subarray(0, received.bytes)), descriptors: received.descriptors }
  }
}

export function closeAll(descriptors: readonly number[]): void {
  for (const fd of descriptors) binding().close(fd)
}
