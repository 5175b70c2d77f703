/** The predecessor's shared states, as far as the successor does not have their newest. */
import type { Accept, CapturedState } from '../transfer/types.js'
import { captureOne, checkChoice } from './capture.js'
import type { States } from './states.js'

export class StateCopy {
  readonly #states: States
  readonly #accept: Accept
  readonly #checksums = new Map<string, number>()

  constructor(states: States, accept: Accept) {
    this.#states = states
    this.#accept = accept
  }

  /** Captures all; those that have changed since the last time. Throws Refusal. */
  *changed(): Iterable<CapturedState> {
    for (const choice of this.#accept.states) {
      const definition = this.#states.definitions.get(choice.name)
      if (definition === undefined) continue
      checkChoice('shared state', choice, definition)
      const envelope = captureOne(`shared state ${choice.name}`, choice, definition, () => definition.capture())
      if (this.#checksums.get(choice.name) === envelope.checksum) continue
      this.#checksums.set(choice.name, envelope.checksum)
      yield { name: choice.name, ...envelope }
    }
  }
}
