/**
 * What has been sent, or received: each session with the checksum of its newest state, and a digest over all of them. Both
 * sides keep one, from the parts alone, so that the manifest compares without walking through the sessions in the pause.
 */
import type { Part } from './types.js'

export class Ledger {
  readonly #checksums = new Map<number, number>()
  readonly #dropped = new Set<number>()
  #digest = 0
  #parts = 0
  states = 0

  get sessions(): number {
    return this.#checksums.size
  }

  get parts(): number {
    return this.#parts
  }

  /** Sum of a mix of id and checksum over all sessions, modulo 2^32: the order in which they came does not matter. */
  get digest(): number {
    return this.#digest
  }

  /** Notes a part; what is wrong with it, if it cannot follow on those before. */
  note(part: Part): string | undefined {
    this.#parts++
    switch (part.kind) {
      case 'batch':
        for (const [id, , , checksum] of part.records) {
          if (this.#checksums.has(id)) return `session ${id} came twice`
          this.#set(id, checksum)
        }
        return undefined
      case 'update':
        for (const [id, state, checksum] of part.changes) {
          if (this.#dropped.has(id)) continue
          if (!this.#checksums.has(id)) return `session ${id} changed before it came`
          if (state !== null) this.#set(id, checksum)
        }
        return undefined
      case 'gone':
        for (const id of part.ids) {
          if (this.#dropped.has(id)) continue
          if (!this.#checksums.has(id)) return `session ${id} ended before it came`
          this.#delete(id)
        }
        return undefined
    }
  }

  /**
   * Sessions the successor has refused, one by one: for both sides they are not there. What the predecessor had sent of them
   * before it knew is passed over.
   */
  drop(ids: Iterable<number>): void {
    for (const id of ids) {
      this.#dropped.add(id)
      if (this.#checksums.has(id)) this.#delete(id)
    }
  }

  #delete(id: number): void {
    this.#digest = (this.#digest - mix(id, this.#checksums.get(id) as number)) >>> 0
    this.#checksums.delete(id)
  }

  #set(id: number, checksum: number): void {
    const before = this.#checksums.get(id)
    if (before !== undefined) this.#digest = (this.#digest - mix(id, before)) >>> 0
    this.#checksums.set(id, checksum)
    this.#digest = (this.#digest + mix(id, checksum)) >>> 0
  }
}

/** 32 bits of a Fibonacci hash of the id (2^32 / φ), crossed with the checksum. */
function mix(id: number, checksum: number): number {
  return (Math.imul(id, 0x9e3779b1) ^ checksum) >>> 0
}
