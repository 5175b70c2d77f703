/**
 * Where adopted sockets wait. Each is in an epoll set of the transfer's own from the moment it comes; at commit that one set
 * is watched, and all of them are live at once: a socket that can be read, or is written to, wakes. The rest is woken a few
 * at a time while the loop turns. So what Node needs by the socket to read it (3 to 5 µs) lies outside the pause.
 */
import { binding, POLLIN, type Watcher } from './binding.js'
import { nowMs } from './clock.js'

/** Most members looked at in one turn of the loop. */
const TURN_MEMBERS = 256
const SLICE_MS = 0.5

export class Parking {
  readonly #set = binding().epollSet()
  readonly #wakes = new Map<number, () => void>()
  #watcher: Watcher | undefined
  #isLive = false
  #isOpen = true

  /** True from commit on: who is asked now may wake. */
  get isLive(): boolean {
    return this.#isLive
  }

  /** `wake` is called once, at the latest when all are woken. The descriptor stays its owner's. */
  park(descriptor: number, wake: () => void): void {
    binding().epollAdd(this.#set, descriptor)
    this.#wakes.set(descriptor, wake)
  }

  /** Before the descriptor is read by someone else, or closed. */
  leave(descriptor: number): void {
    if (!this.#wakes.delete(descriptor) || !this.#isOpen) return
    binding().epollRemove(this.#set, descriptor)
  }

  /** Commit. */
  goLive(): void {
    this.#isLive = true
    this.#watcher = binding().watch(this.#set, () => this.#wakeReady())
    this.#watcher.start(POLLIN)
    setImmediate(() => this.#wakeSome())
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#wakes.clear()
    this.#watcher?.close()
    binding().close(this.#set)
  }

  #wakeReady(): void {
    if (!this.#isOpen) return
    for (const descriptor of binding().epollReady(this.#set, TURN_MEMBERS)) this.#wakes.get(descriptor)?.()
  }

  #wakeSome(): void {
    const untilMs = nowMs() + SLICE_MS
    for (const wake of this.#wakes.values()) {
      wake()
      if (nowMs() >= untilMs) break
    }
    if (this.#wakes.size > 0) setImmediate(() => this.#wakeSome())
    else this.close()
  }
}
