/**
 * Fence before taking over: silence is not death. Whoever takes a place after silence first makes sure that the other
 * process is dead. Both may decide so at the same moment, and two SIGKILLs would lose every session: so there is one
 * token, a message in a socketpair both hold; recvmsg gives it to exactly one, and only its holder may kill.
 */
import { constants } from 'node:os'
import { binding, POLLIN } from '../sys/binding.js'

export class Fence {
  readonly #pidfd: number
  readonly #token: number
  #open = true

  /** Takes over both descriptors: the peer's pidfd and the receiving end of the token. */
  constructor(pidfd: number, token: number) {
    this.#pidfd = pidfd
    this.#token = token
  }

  /** True once the peer has exited and so holds no descriptor: the kernel closes them before it makes a pidfd readable. */
  isDead(): boolean {
    return binding().poll([this.#pidfd], [POLLIN], 0)[0] !== 0
  }

  /**
   * Returns when the peer is dead, and known to be. Kills it if the token is to be had; otherwise the peer holds the token
   * and is about to kill this process, or dies first. Blocks the thread without a deadline: to go on would be a second reader.
   */
  ensureDead(): void {
    if (!this.isDead() && this.#takeToken()) binding().pidfdSignal(this.#pidfd, constants.signals.SIGKILL)
    binding().poll([this.#pidfd], [POLLIN], -1)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    binding().close(this.#pidfd)
    binding().close(this.#token)
  }

  #takeToken(): boolean {
    const received = binding().receive(this.#token, Buffer.alloc(1))
    return received !== undefined && received.bytes > 0
  }
}
