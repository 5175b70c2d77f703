/**
 * A keeper: a process that takes over what a runtime serves, serves nothing of it, and gives it to the next. To the supervisor
 * and to both runtimes it is a runtime like any other.
 */
import { messageOf } from '../errors.js'
import { makeRoom } from '../runtime/budget.js'
import type { Control, Told } from '../runtime/control.js'
import { type TransferFields, Transfers } from '../runtime/transfers.js'
import { closeAll } from '../sys/channel.js'
import { Link } from '../sys/link.js'
import { Fence } from '../transfer/fence.js'
import { Successor } from '../transfer/successor.js'
import type { Ending } from '../transfer/types.js'
import { ESCROW_OVER } from '../wire/escrow.js'
import type { ReasonFields } from '../wire/fields.js'
import { TRANSFER } from '../wire/messages.js'
import { pack, unpack } from './bag.js'
import { EscrowIntake } from './escrow.js'
import { Kept } from './kept.js'
import { keeperSink } from './sink.js'
import { keeperSource } from './source.js'

export class Keeper {
  readonly #control: Control
  readonly #kept = new Kept()
  readonly #transfers: Transfers
  readonly #lost: ReasonFields[] = []
  /** Of a runtime that serves, until it has ended. */
  #escrow: EscrowIntake | undefined
  /** In bags: whatever it gave away from now on, two would have. */
  #isPacked = false

  /** @param onLost its supervisor is gone: nobody will take what it has. */
  constructor(control: Control, onLost: () => void) {
    this.#control = control
    this.#transfers = new Transfers({
      source: () => keeperSource(this.#kept),
      sink: () => keeperSink(this.#kept, makeRoom),
      escrow: (fields, [channel, pidfd, token]) =>
        this.#takeCheckpoints(fields, new Link(channel, TRANSFER, 'predecessor'), new Fence(pidfd, token)),
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
        if (message.fields.side === 'predecessor') this.#settle()
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
    // Of an escrow: those that would not go on, since their checkpoint is not their last word.
    const unregistered = this.#escrow?.count() ?? 0
    this.#control.send('status', { request, sessions: this.#kept.counts(), unregistered })
  }

  /** What a former escrow has left is of no use: the sessions are the runtime's. */
  #takeCheckpoints(fields: TransferFields, link: Link<typeof TRANSFER>, fence: Fence): void {
    this.#kept.clear()
    const escrow = new EscrowIntake(this.#kept)
    this.#escrow = escrow
    const sink = escrow.sink(makeRoom)
    // Silence is nothing: a runtime may have nothing to say for as long as nobody comes.
    new Successor(link, fence, sink, { ...fields, checkMs: SILENCE_MS, policy: 'best-effort' }, (ending) => {
      if (this.#escrow !== escrow) return
      const [why] = 'reasons' in ending ? ending.reasons : []
      // Otherwise the runtime has crashed, or lives on without an escrow: what is exact is known when it is given away, not before.
      if (why?.reason !== ESCROW_OVER) return
      this.#escrow = undefined
      this.#kept.clear()
    }).start()
  }

  /** What was in escrow is about to be another's: only what is exact. */
  #settle(): void {
    const closed = this.#escrow?.settle() ?? 0
    this.#escrow = undefined
    if (closed > 0)
      this.#lost.push({ reason: 'it was read from, or written to, after its last checkpoint', count: closed })
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
    this.#settle()
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
        const { moved, phases } = ending
        const reasons = [...this.#lost.splice(0), ...ending.reasons].slice(0, MAX_REASONS)
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

const SILENCE_MS = 24 * 60 * 60 * 1000
/** Beyond, they are not told one by one. */
const MAX_REASONS = 20
