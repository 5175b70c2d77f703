/** What a keeper gives to the runtime that goes on: all it has, before the freeze, since nothing of it changes. */
import type { Copy, Offer, Part, Source } from '../transfer/types.js'
import type { RefusalFields } from '../wire/fields.js'
import { type Batch, batchesOf, type Kept, kindsOf } from './kept.js'

export function keeperSource(kept: Kept): Source {
  return {
    offer(): Offer {
      const counts = new Map(kept.counts().map(({ name, count }) => [name, count]))
      return {
        sessions: kindsOf(kept).map(({ name, version }) => ({
          name,
          writes: [version],
          sessions: counts.get(name) ?? 0,
        })),
        states: [...kept.states.values()].map(({ name, version, optional }) => ({
          name,
          writes: [version],
          sessions: 0,
          ...(optional ? { optional } : {}),
        })),
        descriptors: kept.sessions.size,
      }
    },

    copy: () => new KeptCopy(kept),

    // What the successor has refused has nobody else: its clients hear of its end.
    handOver() {
      kept.clear()
      return undefined
    },
  }
}

class KeptCopy implements Copy {
  readonly nextId: number
  readonly #kept: Kept
  readonly #batches: Iterator<Batch>
  readonly #refusals: RefusalFields[] = []

  constructor(kept: Kept) {
    this.#kept = kept
    this.#batches = batchesOf(kept)[Symbol.iterator]()
    this.nextId = kept.nextId
  }

  *states(when: 'copy' | 'freeze') {
    if (when === 'copy')
      for (const { name, bytes, checksum } of this.#kept.states.values()) yield { name, bytes, checksum }
  }

  next(): Part | undefined {
    const { done, value } = this.#batches.next()
    return done ? undefined : { kind: 'batch', ...value }
  }

  refused(refusals: readonly RefusalFields[]): void {
    this.#refusals.push(...refusals)
  }

  reasons() {
    return this.#refusals.map(({ id: _, ...why }) => ({ ...why, count: 1 }))
  }

  rest = (): Iterable<Part> => []
  freeze = (): void => undefined
  again = (): void => undefined
  end = (): void => undefined
  thaw = (): void => undefined
}
