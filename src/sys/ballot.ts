/**
 * What several processes decide together, once. All hold one open file of no name: who casts appends its word, and the
 * first word in it is the decision, whoever wrote it. So nobody has to live until the end for the others to know, and
 * there is no instant in which two of them can read different decisions.
 *
 * With O_APPEND a word goes behind all others, under the lock of the file: no two come to lie on each other. At the position
 * duplicates share they would: Linux locks that only for files that were opened by a path, which a memfd was not.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { binding } from './binding.js'

export type Verdict = 'commit' | 'abort'

const LETTERS = { commit: 0x63, abort: 0x61 } as const

export class Ballot {
  /** The file, and what wakes who waits. Stay this object's. */
  readonly descriptors: readonly [box: number, bell: number]
  /** The other end of the bell: it rings when this is closed, so also when who made the ballot dies. */
  #rope: number | undefined
  #open = true

  /** Takes over the descriptors. */
  constructor(box: number, bell: number, rope?: number) {
    this.descriptors = [box, bell]
    this.#rope = rope
  }

  static make(): Ballot {
    const memfd = binding().memfd('handover-ballot')
    let box: number
    try {
      box = openSync(`/proc/self/fd/${memfd}`, 'a+')
    } finally {
      binding().close(memfd)
    }
    try {
      const [bell, rope] = binding().socketpair()
      return new Ballot(box, bell, rope)
    } catch (error) {
      binding().close(box)
      throw error
    }
  }

  /** Casts a word; returns what has been decided, by it or before it. */
  cast(word: Verdict): Verdict {
    writeSync(this.descriptors[0], Uint8Array.of(LETTERS[word]))
    return this.verdict as Verdict
  }

  /** Undefined while nobody has cast. */
  get verdict(): Verdict | undefined {
    const first = new Uint8Array(1)
    if (readSync(this.descriptors[0], first, 0, 1, 0) === 0) return undefined
    return first[0] === LETTERS.commit ? 'commit' : 'abort'
  }

  /** Readable from `ring` on. */
  get bell(): number {
    return this.descriptors[1]
  }

  /** Wakes all who wait. By who made it; once. */
  ring(): void {
    if (this.#rope !== undefined) binding().close(this.#rope)
    this.#rope = undefined
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.ring()
    for (const descriptor of this.descriptors) binding().close(descriptor)
  }
}
