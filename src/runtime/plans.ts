/** How the sessions of each kind travel, as the two sides have agreed. */
import type { Accept, Choice } from '../transfer/types.js'
import { chosenFor } from './capture.js'
import type { Kind, Sessions } from './sessions.js'

export interface Plan {
  readonly choice: Choice
  /** In the offer. */
  readonly index: number
  /** Restored while it is served. */
  readonly isEarly: boolean
}

export class Plans {
  readonly #sessions: Sessions
  readonly #accept: Accept
  readonly #plans = new Map<Kind, Plan>()

  constructor(sessions: Sessions, accept: Accept) {
    this.#sessions = sessions
    this.#accept = accept
  }

  /** @throws Refusal when the successor has no use for this kind. */
  of(kind: Kind): Plan {
    const known = this.#plans.get(kind)
    if (known !== undefined) return known
    const choice = chosenFor(kind, this.#accept)
    const plan = { choice, index: [...this.#sessions.kinds.values()].indexOf(kind), isEarly: this.isEarly(kind) }
    this.#plans.set(kind, plan)
    return plan
  }

  /** Both sides must follow changes: a successor that cannot would keep what it was given first. */
  isEarly({ name, definition }: Kind): boolean {
    if (definition.precopy === undefined) return false
    return this.#accept.sessions.some((choice) => choice.name === name && choice.early === true)
  }

  /**
   * Whether each session is asked, or told, in the freeze. Of a kind that says itself what has changed the others have been
   * asked when they were captured, and their answer holds: the pause does not grow with them.
   */
  areAllAsked(kind: Kind): boolean {
    const { notNow, onFreeze, onThaw, precopy } = kind.definition
    if (onFreeze !== undefined || onThaw !== undefined) return true
    return notNow !== undefined && !(this.isEarly(kind) && precopy?.changes === 'touch')
  }

  /** After commit, but for the first few. */
  isToFollow({ definition }: Kind): boolean {
    return definition.independent === true && this.#accept.follows === true
  }

  get someAreEarly(): boolean {
    return [...this.#sessions.kinds.values()].some((kind) => this.isEarly(kind))
  }
}
