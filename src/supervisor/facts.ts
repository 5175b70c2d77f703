/** What the two sides of an upgrade have said. Kept as it comes in, whatever is being waited for: "drained" may overtake "active". */
import type { Generation } from './generation.js'
import type { GenerationEvents } from './process-words.js'

type Said<K extends keyof GenerationEvents> = GenerationEvents[K][0]
type Aborted = NonNullable<Said<'aborted'>>

export class Facts {
  ready = false
  active: Said<'active'> | undefined
  committed: Said<'committed'> | undefined
  drained: Said<'drained'> | undefined
  /** Numbers of the groups in which the predecessor has said so. */
  settled: number | undefined
  voted: number | undefined
  abortedBy: { predecessor?: Aborted; successor?: Aborted } = {}
  readonly #undo: (() => void)[] = []
  readonly #waiting = new Set<() => void>()

  constructor(predecessor: Generation, successor: Generation) {
    this.#follow(successor, 'ready', () => (this.ready = true))
    this.#follow(successor, 'active', (said) => (this.active = said))
    this.#follow(predecessor, 'committed', (said) => (this.committed = said))
    this.#follow(predecessor, 'drained', (said) => (this.drained = said))
    this.#follow(predecessor, 'settled', (group) => (this.settled = group))
    this.#follow(predecessor, 'voted', (group) => (this.voted = group))
    // A successor that serves may be the predecessor of the next upgrade, while this one drains.
    for (const generation of [predecessor, successor])
      this.#follow(generation, 'aborted', (said) => {
        if ((said.side === 'predecessor') === (generation === predecessor)) this.abortedBy[said.side] = said
      })
    for (const generation of [predecessor, successor]) this.#follow(generation, 'exit', () => undefined)
  }

  /** Waits until `holds`, looked at after each event; false at the deadline. */
  async until(timeoutMs: number, holds: () => boolean): Promise<boolean> {
    if (holds()) return true
    let timer: NodeJS.Timeout | undefined
    let look = () => undefined as undefined
    const held = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs)
      look = () => {
        if (holds()) resolve(true)
      }
      this.#waiting.add(look)
    })
    clearTimeout(timer)
    this.#waiting.delete(look)
    return held || holds()
  }

  /** Something has come that is not among these. */
  look(): void {
    for (const look of this.#waiting) look()
  }

  close(): void {
    for (const step of this.#undo.splice(0)) step()
  }

  #follow<K extends keyof GenerationEvents>(generation: Generation, name: K, note: (said: Said<K>) => void): void {
    const listener = (said?: unknown) => {
      note(said as Said<K>)
      for (const look of this.#waiting) look()
    }
    generation.on(name as 'exit', listener)
    this.#undo.push(() => generation.removeListener(name as 'exit', listener))
  }
}
