/** What a predecessor and its supervisor say to each other in a transfer that commits together with others. */
import type { Ballot } from '../sys/ballot.js'
import type { Group } from '../transfer/types.js'
import type { Control } from './control.js'

/** While it waits to freeze, what has changed is copied this often. */
const COPY_EVERY_MS = 100

export class ControlGroup implements Group {
  readonly number: number
  readonly ballot: Ballot
  readonly #control: Control
  #may: boolean | undefined = false
  #wake: () => void = () => undefined

  /** Takes over the ballot. */
  constructor(number: number, ballot: Ballot, control: Control) {
    this.number = number
    this.ballot = ballot
    this.#control = control
  }

  settled(): void {
    this.#control.send('settled', { group: this.number })
  }

  async mayFreeze(): Promise<boolean | undefined> {
    if (this.#may === false) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, COPY_EVERY_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#may
  }

  voted(): void {
    this.#control.send('voted', { group: this.number })
  }

  /** The supervisor has said that all have settled. */
  release(): void {
    this.#may = true
    this.#wake()
  }

  /** The supervisor is gone: it will not say so any more. */
  lose(): void {
    if (this.#may === false) this.#may = undefined
    this.#wake()
  }

  close(): void {
    this.ballot.close()
  }
}
