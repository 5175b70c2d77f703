/** A timer that can move: what travels is when it is due, on a clock all processes of the machine share. */
import { HandoverError } from '../errors.js'
import { nowMs } from '../sys/clock.js'

/** setTimeout() takes no more. */
const LONGEST_MS = 2 ** 31 - 1

export class Deadline {
  readonly #onDue: () => void
  #dueAtMs: number | null = null
  #timer: NodeJS.Timeout | undefined

  /** @param onDue called once each time it is due. It does not keep the process alive. */
  constructor(onDue: () => void) {
    this.#onDue = onDue
  }

  /** Due in `ms` milliseconds, whatever was set before. */
  in(ms: number): this {
    if (!Number.isFinite(ms))
      throw new HandoverError('HANDOVER_USAGE', `a deadline is in milliseconds, not ${String(ms)}`)
    return this.at(nowMs() + Math.max(0, ms))
  }

  /**
   * Due then: what `dueAtMs` was in the predecessor; null clears it. What has passed meanwhile counts. In a successor set it
   * in `onAdopted`: in `restore` the session is still the predecessor's, and an overdue timer would fire twice.
   */
  at(dueAtMs: number | null): this {
    if (dueAtMs !== null && !Number.isFinite(dueAtMs))
      throw new HandoverError('HANDOVER_USAGE', `a deadline is at what dueAtMs was, or null, not ${String(dueAtMs)}`)
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    if (dueAtMs !== null) this.#wait(dueAtMs)
    return this
  }

  /** CLOCK_MONOTONIC in milliseconds: the same for every process until the machine starts anew. Null when it is not set. Capture this. */
  get dueAtMs(): number | null {
    return this.#dueAtMs
  }

  /** Milliseconds left, 0 when overdue; null when it is not set. */
  get leftMs(): number | null {
    return this.#dueAtMs === null ? null : Math.max(0, this.#dueAtMs - nowMs())
  }

  /** In the predecessor: in `onMoved`. */
  clear(): void {
    this.at(null)
  }

  #wait(dueAtMs: number): void {
    this.#timer = setTimeout(
      () => {
        if (nowMs() < dueAtMs) {
          this.#wait(dueAtMs)
          return
        }
        this.#dueAtMs = null
        this.#onDue()
      },
      Math.min(LONGEST_MS, Math.max(0, Math.ceil(dueAtMs - nowMs()))),
    ).unref()
  }
}
