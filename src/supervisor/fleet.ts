/** The workers, in the order of their index: more than there are to be, when some could not go. */
import type { ServingProcess } from './health.js'
import type { Target } from './release.js'
import type { Candidate } from './upgrade.js'
import { candidateOf, type Worker } from './worker.js'

export class Fleet {
  /** How many there are to be. */
  count: number
  readonly #make: (index: number) => Worker
  #all: readonly Worker[] = []

  constructor(count: number, make: (index: number) => Worker) {
    this.count = count
    this.#make = make
    this.#fill()
  }

  get all(): readonly Worker[] {
    return this.#all
  }

  find(index: number): Worker | undefined {
    return this.#all.find((each) => each.index === index)
  }

  /** The one there is, or a new one. */
  have(index: number): Worker {
    const worker = this.find(index) ?? this.#make(index)
    if (!this.#all.includes(worker)) this.#all = [...this.#all, worker].sort((a, b) => a.index - b.index)
    return worker
  }

  remove(index: number): void {
    this.find(index)?.stop()
    this.#all = this.#all.filter((each) => each.index !== index)
  }

  /** What there was under another supervisor. */
  restore(count: number, own: readonly { worker: number; target: Target }[]): void {
    this.count = count
    this.#all = this.#all.filter(({ index }) => index < count)
    this.#fill()
    for (const { worker, target } of own) this.have(worker).target = target
  }

  /** Who serves as that worker, or as any. */
  serving(worker?: number): ServingProcess[] {
    return this.#all.flatMap(({ serving, index }) =>
      serving === undefined || (worker ?? index) !== index
        ? []
        : { generation: serving.number, pid: serving.side.pid, worker: index },
    )
  }

  /** As an upgrade of that one alone, or of so many, finds them. */
  candidates(only: Worker | undefined, count: number, haveMadeRoom: ReadonlySet<Worker>): Candidate[] {
    const indices = only === undefined ? Array.from({ length: count }, (_, index) => index) : [only.index]
    return indices.map((index) => {
      const worker = this.find(index)
      return candidateOf(index, worker, worker !== undefined && haveMadeRoom.has(worker))
    })
  }

  /** Of those that have gone before the others. */
  own(): { worker: number; target: Target }[] {
    return this.#all.flatMap(({ index: worker, target }) => (target === undefined ? [] : { worker, target }))
  }

  #fill(): void {
    for (let index = 0; index < this.count; index++) this.have(index)
  }
}
