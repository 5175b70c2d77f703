/**
 * Fence before taking over: silence is not death. Whoever takes a place after silence first makes sure that the other
 * process is dead. Both may decide so at the same moment, and two SIGKILLs would lose every session: so there is one
 * token, a message in a socketpair both hold; recvmsg gives it to exactly one, and only its holder may kill.
 *
 * For the same reason the successor takes it before it becomes active: a predecessor whose deadline passes in that
 * instant would kill a successor that has read its first bytes, and thaw sessions that have moved on.
 */
import { constants } from 'node:os'
import { binding, POLLIN } from '../sys/binding.js'
import { Token } from './token.js'

export class Fence {
  readonly #pidfd: number
  readonly #token: Token
  #open = true

  /** Takes over both descriptors: the peer's pidfd and the receiving end of the token. */
  constructor(pidfd: number, token: number) {
    this.#pidfd = pidfd
    this.#token = new Token(token)
  }

  /** Takes the token. `false` when the peer has it: it decides. */
  claim(): boolean {
    return this.#token.claim()
  }

  /** Returns when the token is this side's, or the peer, which had it, is dead. */
  ensureOurs(): void {
    if (!this.claim()) this.#awaitDeath()
  }

  /**
   * Returns when the peer is dead, and known to be. Kills it if the token is to be had; otherwise the peer holds the token
   * and is about to kill this process, or dies first.
   */
  ensureDead(): void {
    if (this.claim()) binding().pidfdSignal(this.#pidfd, constants.signals.SIGKILL)
    this.#awaitDeath()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    binding().close(this.#pidfd)
    this.#token.close()
  }

  /**
   * Blocks the thread without a deadline: to go on would be a second reader. A process that has exited holds no
   * descriptor; the kernel closes them before it makes a pidfd readable.
   */
  #awaitDeath(): void {
    binding().poll([this.#pidfd], [POLLIN], -1)
  }
}
