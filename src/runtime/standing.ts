/**
 * What has been said on the channel, heard or not: what a supervisor that has not been there is to know. It follows from the
 * messages alone, so that nobody has to remember to tell.
 */
import { binding } from '../sys/binding.js'
import type { CONTROL, Fields } from '../wire/messages.js'

export type Rejoined = Fields<typeof CONTROL, 'rejoined'>
type Asked = Fields<typeof CONTROL, 'kept'>

/** The descriptor is of whoever serves on it, who may have closed it. */
interface Kept {
  readonly fields: Asked
  readonly descriptor: number
  readonly cookie: bigint
}

export class Standing {
  readonly #kept = new Map<string, Kept>()
  #generation = 0
  #phase: Rejoined['phase'] = 'waiting'
  #transfers = false
  #states: Rejoined['states'] = []
  #listeners: Rejoined['listeners'] = []
  #drained: Rejoined['drained']

  welcomed(generation: number): void {
    this.#generation = generation
  }

  /** A transfer begins: one of `active`, `committed` and `aborted` is its end. */
  transfers(): void {
    this.#transfers = true
  }

  given(fields: Asked, descriptor: number): void {
    this.#kept.set(fields.name, { fields, descriptor, cookie: binding().socketCookie(descriptor) })
  }

  say(kind: keyof typeof CONTROL, fields: unknown): void {
    if (kind === 'ready') this.#states = (fields as Fields<typeof CONTROL, 'ready'>).states
    else if (kind === 'drained') this.#drained = fields as Fields<typeof CONTROL, 'drained'>
    else if (kind === 'active') {
      this.#phase = 'serving'
      this.#listeners = (fields as Fields<typeof CONTROL, 'active'>).listeners
      this.#transfers = false
    } else if (kind === 'committed') {
      this.#phase = 'draining'
      this.#transfers = false
    } else if (kind === 'aborted') this.#transfers = false
  }

  /** The listening sockets of this process that it has not closed. One that drains has none. */
  kept(): { fields: Asked; descriptor: number }[] {
    return this.#phase === 'draining'
      ? []
      : [...this.#kept.values()].filter(({ descriptor, cookie }) => isStill(descriptor, cookie))
  }

  get rejoined(): Rejoined {
    return {
      generation: this.#generation,
      phase: this.#phase,
      transfers: this.#transfers,
      states: [...this.#states],
      listeners: [...this.#listeners],
      ...(this.#drained === undefined ? {} : { drained: this.#drained }),
    }
  }
}

/** The number may be another file's by now. */
function isStill(descriptor: number, cookie: bigint): boolean {
  try {
    return binding().socketCookie(descriptor) === cookie
  } catch {
    return false
  }
}
