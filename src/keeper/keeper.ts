/**
 * A keeper: a process that takes over what a runtime serves, serves nothing of it, and gives it to the next. To the supervisor
 * and to both runtimes it is a runtime like any other.
 */
import { messageOf } from '../errors.js'
import { makeRoom } from '../runtime/budget.js'
import type { Control, Told } from '../runtime/control.js'
import { type TransferFields, Transfers } from '../runtime/transfers.js'
import { closeAll } from '../sys/channel.js'
import type { Ending } from '../transfer/types.js'
import type { ReasonFields } from '../wire/fields.js'
import { pack, unpack } from './bag.js'
import { Kept } from './kept.js'
import { keeperSink } from './sink.js'
import { keeperSource } from './source.js'

export class Keeper {
  readonly #control: Control
  readonly #kept = new Kept()
  readonly #transfers: Transfers
  readonly #lost: ReasonFields[] = []
  /** In bags: whatever it gave away from now on, two would have. */
  #isPacked = false

  /** @param onLost its supervisor is gone: nobody will take what it has. */
  constructor(control: Control, onLost: () => void) {
    this.#control = control
    this.#transfers = new Transfers({
      source: () => keeperSource(this.#kept),
      sink: () => keeperSink(this.#kept, makeRoom),
      onEnding: (fields, ending) => this.#onEnding(fields, ending),
      onTruncated: () => this.#fail('predecessor', 'the keeper is at its limit of descriptors (RLIMIT_NOFILE)'),
    })
    control.handle(
      (message) => this.#onTold(message),
      () => this.#fail('successor', 'the keeper is at its limit of descriptors (RLIMIT_NOFILE)'),
      () => onLost(),
    )
    control.send('ready', { sessions: [], states: [] })
  }

  #onTold(message: Told): void {
    switch (message.kind) {
      case 'activate':
        this.#control.send('active', { sessions: this.#kept.sessions.size, pauseMs: null, listeners: [] })
        return
      case 'ask':
        void this.#answer(message.fields.request, message.fields.settled === true)
        return
      case 'transfer':
        if (!this.#isPacked) this.#transfers.begin(message.fields, message.descriptors as [number, number, number])
        else {
          closeAll(message.descriptors)
          this.#fail(message.fields.side, 'what the keeper has is in bags already')
        }
        return
      case 'unpack':
        this.#unpack(message.descriptors[0] as number, message.fields.last)
        return
      case 'pack':
        this.#pack()
        return
      default:
        // Of several workers each has a keeper of its own, which commits by itself.
        closeAll(message.descriptors)
    }
  }

  async #answer(request: number, settled: boolean): Promise<void> {
    if (settled) await this.#transfers.settled
    this.#control.send('status', { request, sessions: this.#kept.counts(), unregistered: 0 })
  }

  #unpack(descriptor: number, isLast: boolean): void {
    this.#lost.push(...unpack(this.#kept, descriptor))
    if (!isLast) return
    const { sessions, states } = this.#kept
    const reasons = this.#lost.splice(0).slice(0, MAX_REASONS)
    this.#control.send('unpacked', { sessions: sessions.size, states: states.size, reasons })
  }

  #pack(): void {
    if (this.#transfers.isGivingAway) {
      this.#fail('predecessor', 'what the keeper has is being taken over')
      return
    }
    this.#isPacked = true
    try {
      const bags = pack(this.#kept)
      for (const [index, { descriptor, sessions }] of bags.entries()) {
        this.#control.send('packed', { sessions, last: index === bags.length - 1 }, [descriptor])
        closeAll([descriptor])
      }
    } catch (error) {
      this.#fail('predecessor', `what is kept cannot be packed: ${messageOf(error)}`)
    }
  }

  #onEnding({ side }: TransferFields, ending: Ending): void {
    switch (ending.outcome) {
      case 'active':
        this.#control.send('active', { sessions: ending.sessions, pauseMs: ending.pauseMs, listeners: [] })
        return
      case 'committed': {
        const { moved, phases, reasons } = ending
        this.#control.send('committed', { moved, phases, reasons, left: 0 })
        this.#control.send('drained', { drained: 0, dropped: 0, reasons: [] })
        return
      }
      default:
        this.#control.send('aborted', { side, ...ending })
    }
  }

  #fail(side: 'predecessor' | 'successor', reason: string): void {
    const reasons = [{ reason, count: 1 }]
    this.#control.send('aborted', { side, outcome: 'failed', reasons, phases: [], pauseMs: null })
  }
}

/** Beyond, they are not told one by one. */
const MAX_REASONS = 20
