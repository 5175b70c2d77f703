/**
 * A token: one message in a socketpair whose receiving end both sides hold and whose sending end is closed. recvmsg gives it
 * to exactly one of them, and it is never given back: who has it has decided.
 */
import { binding } from '../sys/binding.js'

export class Token {
  /** The receiving end. Stays this object's. */
  readonly descriptor: number
  #isOurs = false
  #open = true

  /** Takes over the descriptor. */
  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  static make(): Token {
    const [descriptor, source] = binding().socketpair()
    binding().send(source, Buffer.of(1), [])
    binding().close(source)
    return new Token(descriptor)
  }

  /** Takes it. `false` when the other side has it. */
  claim(): boolean {
    if (!this.#isOurs) {
      const received = binding().receive(this.descriptor, Buffer.alloc(1))
      this.#isOurs = received !== undefined && received.bytes > 0
    }
    return this.#isOurs
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    binding().close(this.descriptor)
  }
}
