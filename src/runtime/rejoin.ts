/**
 * Where a new supervisor finds this process when its own is gone: a socket that the supervisor has bound to a path, and this process
 * listens to. Listening renews the credentials, so that who connects sees whose process it is; and a socket whose process is gone
 * refuses at once.
 */
import { binding, POLLIN, type Watcher } from '../sys/binding.js'

/** The supervisor says on which descriptor the socket is. */
export const REJOIN_VARIABLE = 'HANDOVER_REJOIN'

/** One supervisor comes at a time. */
const BACKLOG = 4
const AGAIN_MS = 1_000

export class Rejoin {
  readonly #fd: number
  /** Of the supervisor that has started this process. */
  readonly #uid: number
  #watcher: Watcher | undefined

  /** Takes over the descriptor. @param channel to the supervisor. */
  constructor(fd: number, channel: number) {
    this.#fd = fd
    this.#uid = binding().peerCredentials(channel).uid
    binding().setCloseOnExec(fd, true)
    binding().listen(fd, BACKLOG)
  }

  /**
   * From the end of a channel to the next supervisor: before, whoever connects waits, since its end of file may still lie unread
   * here behind its last words. Does not keep the process alive.
   * @param onSupervisor owns the descriptor.
   */
  wait(onSupervisor: (descriptor: number) => void): void {
    this.#watcher ??= binding().watch(this.#fd, () => {
      const descriptor = this.#accept()
      if (descriptor === undefined) return
      this.#watcher?.close()
      this.#watcher = undefined
      onSupervisor(descriptor)
    })
    this.#watcher.start(POLLIN)
    this.#watcher.unref()
  }

  #accept(): number | undefined {
    let descriptor: number | undefined
    try {
      descriptor = binding().accept(this.#fd)
    } catch {
      // No descriptor to be had: it would be ready for ever.
      this.#watcher?.stop()
      setTimeout(() => this.#watcher?.start(POLLIN), AGAIN_MS).unref()
    }
    if (descriptor === undefined) return undefined
    const { uid } = binding().peerCredentials(descriptor)
    if (uid === 0 || uid === this.#uid) return descriptor
    binding().close(descriptor)
    return undefined
  }
}
