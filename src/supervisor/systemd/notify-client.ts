/** What a service tells its service manager: sd_notify(3), over the socket that NOTIFY_SOCKET names. */
import { binding, POLLIN, POLLOUT } from '../../sys/binding.js'

/** NAME=VALUE lines of one message. */
export type Assignments = Readonly<Record<string, string | number>>

/** How long a full queue of the manager's is waited for, the loop standing still. */
const ROOM_MS = 200

export class NotifyClient {
  readonly #address: string
  #socket: number | undefined

  constructor(address: string) {
    this.#address = address
  }

  /**
   * One message, whole; false when the manager does not take it: its word is never needed to serve. The descriptors stay the
   * caller's.
   */
  say(assignments: Assignments, descriptors: readonly number[] = []): boolean {
    const lines = Object.entries(assignments).map(([name, value]) => `${name}=${value}`)
    return this.#send(Buffer.from(lines.join('\n')), descriptors)
  }

  /** Resolves when the manager has done all that was said before (BARRIER=1), or after `timeoutMs`: with false then. */
  async barrier(timeoutMs: number): Promise<boolean> {
    const [ours, theirs] = binding().streampair()
    let isSent: boolean
    try {
      // The manager closes the descriptor when it comes to this message: the last one, once ours is closed here.
      isSent = this.say({ BARRIER: 1 }, [theirs])
    } finally {
      binding().close(theirs)
    }
    if (!isSent) {
      binding().close(ours)
      return false
    }
    return new Promise((resolve) => {
      const end = (isDone: boolean) => {
        clearTimeout(timer)
        watcher.close()
        binding().close(ours)
        resolve(isDone)
      }
      const watcher = binding().watch(ours, () => end(true))
      const timer = setTimeout(() => end(false), timeoutMs)
      // Its end of file is read, as it were.
      watcher.start(POLLIN)
    })
  }

  close(): void {
    if (this.#socket !== undefined) binding().close(this.#socket)
    this.#socket = undefined
  }

  #send(payload: Buffer, descriptors: readonly number[]): boolean {
    // A manager that has executed itself anew (daemon-reexec) has another socket under the same name.
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        this.#socket ??= binding().connectNotify(this.#address)
        if (binding().send(this.#socket, payload, descriptors)) return true
        binding().poll([this.#socket], [POLLOUT], ROOM_MS)
        return binding().send(this.#socket, payload, descriptors)
      } catch {
        this.close()
      }
    }
    return false
  }
}
