/** What the app wants to be told of a transfer as a whole. */
import { messageOf } from '../errors.js'
import { Refusal } from '../transfer/types.js'
import { apart } from './apart.js'
import type { Hooks } from './types.js'

export class HookList {
  readonly #all: Hooks[] = []
  /** Those that were told of a freeze, and not yet how it ended. */
  #told: Hooks[] = []

  add(hooks: Hooks): void {
    this.#all.push(hooks)
  }

  /** Throws Refusal. */
  freeze(): void {
    for (const hooks of this.#all) {
      this.#told.push(hooks)
      try {
        hooks.onFreeze?.()
      } catch (error) {
        throw new Refusal([{ reason: `onFreeze failed: ${messageOf(error)}`, count: 1 }])
      }
    }
  }

  thaw(): void {
    for (const hooks of this.#told.splice(0)) apart(() => hooks.onThaw?.())
  }

  moved(): void {
    for (const hooks of this.#told.splice(0)) apart(() => hooks.onMoved?.())
  }

  adopted(): void {
    for (const hooks of this.#all) apart(() => hooks.onAdopted?.())
  }
}
