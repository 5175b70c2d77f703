/** Checkpoints of a runtime that serves: what of them is exact, should it end. */
import { binding } from '../sys/binding.js'
import { Refusal, type Sink } from '../transfer/types.js'
import { isPlaced, type Placed, type Position } from '../wire/escrow.js'
import type { Kept } from './kept.js'
import { keeperSink } from './sink.js'

export class EscrowIntake {
  readonly #kept: Kept
  readonly #positions = new Map<number, Position>()

  constructor(kept: Kept) {
    this.#kept = kept
  }

  sink(makeRoom: (sessions: number) => void): Sink {
    const sink = keeperSink(this.#kept, makeRoom)
    return {
      ...sink,
      adopt: (choice, [id, kind, state, checksum, placed], descriptor) => {
        const [described] = opened(placed, descriptor)
        sink.adopt(choice, [id, kind, state, checksum, described], descriptor)
        this.#place(id, placed as Placed)
      },
      update: ([id, state, checksum, placed]) => {
        const [described] = opened(placed)
        sink.update([id, state, checksum, described])
        this.#place(id, placed as Placed)
      },
      forget: (id) => {
        sink.forget(id)
        this.#positions.delete(id)
      },
      // How it ended decides what becomes of it.
      discard: () => undefined,
    }
  }

  /**
   * The runtime has ended. Keeps what is exact: where not a byte was read or written since the checkpoint. All others are closed.
   * Returns how many those are.
   */
  settle(): number {
    const inexact = this.#inexact()
    for (const id of inexact) this.#kept.drop(id)
    this.#positions.clear()
    return inexact.length
  }

  /** How many would be closed now. */
  count(): number {
    return this.#inexact().length
  }

  #inexact(): number[] {
    return [...this.#kept.sessions].flatMap(([id, { descriptor, state }]) =>
      state !== null && this.#isExact(id, descriptor) ? [] : id,
    )
  }

  #place(id: number, [, read, written]: Placed): void {
    if (this.#kept.sessions.has(id)) this.#positions.set(id, { read, written })
  }

  #isExact(id: number, descriptor: number): boolean {
    const then = this.#positions.get(id)
    try {
      const now = binding().streamPosition(descriptor)
      return then !== undefined && now.read === then.read && now.written === then.written
    } catch {
      return false
    }
  }
}

/** Throws Refusal, and closes the descriptor. */
function opened(placed: unknown, descriptor?: number): Placed {
  if (isPlaced(placed)) return placed
  if (descriptor !== undefined) binding().close(descriptor)
  throw new Refusal([{ reason: 'a checkpoint does not say where its connection is', count: 1 }])
}
