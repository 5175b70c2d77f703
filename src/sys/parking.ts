/**
 * Where adopted sockets wait. Each is in an epoll set of the transfer's own from the moment it comes; at commit that one set
 * is watched, and all of them are live at once: a socket that can be read, or is written to, wakes. The rest is woken a few
 * at a time while the loop turns. So what Node needs by the socket to read it (3 to 5 µs) lies outside the pause.
 */
import { AsyncResource } from 'node:async_hooks'
import { binding, POLLIN, type Watcher } from './binding.js'
import { nowMs } from './clock.js'

/** Most members looked at in one turn of the loop. */
const TURN_MEMBERS = 256
const SLICE_MS = 0.5

export interface Parked {
  /** Stays its owner's. */
  readonly descriptor: number
  /** Called once, at the latest when all are woken. Must leave. */
  release(): void
}

/**
 * The set is watched through another one, in which it is muted until commit. To watch it only then would lie in the pause:
 * when an epoll set joins another the kernel looks at every member for a loop (fs/eventpoll.c, ep_loop_check: 3 ms for 10,000).
 */
export class Parking {
  readonly #set = binding().epollSet()
  readonly #gate = binding().epollSet()
  readonly #parked = new Map<number, Parked>()
  readonly #wanted = new Set<Parked>()
  readonly #context = new AsyncResource('handover.Parking')
  readonly #watcher: Watcher
  #isLive = false
  #isOpen = true

  constructor() {
    binding().epollAdd(this.#gate, this.#set)
    binding().epollMute(this.#gate, this.#set)
    this.#watcher = binding().watch(this.#gate, () => this.#wakeReady())
    this.#watcher.start(POLLIN)
    this.#watcher.unref()
  }

  /** True from commit on: who is asked now may wake. */
  get isLive(): boolean {
    return this.#isLive
  }

  park(one: Parked): void {
    binding().epollAdd(this.#set, one.descriptor)
    this.#parked.set(one.descriptor, one)
  }

  /** Has something to do first thing after commit. */
  want(one: Parked): void {
    if (this.#parked.get(one.descriptor) === one) this.#wanted.add(one)
  }

  /** Before the descriptor is read by someone else, or closed. */
  leave(one: Parked): void {
    if (this.#parked.get(one.descriptor) !== one) return
    this.#parked.delete(one.descriptor)
    this.#wanted.delete(one)
    if (this.#isOpen) binding().epollRemove(this.#set, one.descriptor)
  }

  /** Runs in the context of the transfer, not of the request that uses a parked one first: handles and timers keep theirs for good. */
  apart(run: () => void): void {
    this.#context.runInAsyncScope(run)
  }

  /** Commit: all may be used from now on. Those that are wanted are released at once, the others when they are used. */
  goLive(onReleased: () => void): void {
    this.#isLive = true
    for (const one of this.#wanted) {
      one.release()
      onReleased()
    }
    binding().epollUnmute(this.#gate, this.#set)
    this.#watcher.ref()
    setImmediate(() => this.#wakeSome())
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#parked.clear()
    this.#wanted.clear()
    this.#watcher.close()
    binding().close(this.#gate)
    binding().close(this.#set)
  }

  #wakeReady(): void {
    if (!this.#isOpen) return
    for (const descriptor of binding().epollReady(this.#set, TURN_MEMBERS)) this.#parked.get(descriptor)?.release()
  }

  #wakeSome(): void {
    const untilMs = nowMs() + SLICE_MS
    for (const one of this.#parked.values()) {
      one.release()
      if (nowMs() >= untilMs) break
    }
    if (this.#parked.size > 0) setImmediate(() => this.#wakeSome())
    else this.close()
  }
}
