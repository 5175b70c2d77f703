/** The transfers into and out of this process, as its supervisor tells of them, one after the other. */
import type { Ballot } from '../sys/ballot.js'
import { closeAll } from '../sys/channel.js'
import { Link } from '../sys/link.js'
import { Fence } from '../transfer/fence.js'
import { Predecessor } from '../transfer/predecessor.js'
import { Successor } from '../transfer/successor.js'
import type { Ending, Sink, Source } from '../transfer/types.js'
import { type CONTROL, type Fields, TRANSFER } from '../wire/messages.js'
import type { Control } from './control.js'
import { ControlGroup } from './group.js'

export type TransferFields = Fields<typeof CONTROL, 'transfer'>

export interface TransfersContext {
  /** What it has, which is about to be given away. */
  source(): Source
  sink(): Sink
  /** Called once for each. */
  onEnding(fields: TransferFields, ending: Ending): void
  /** There was no room for the descriptors of one. */
  onTruncated(): void
}

export class Transfers {
  readonly #context: TransfersContext
  /** The transfer into this process, until nothing follows in it any more. */
  #intake: Successor | undefined
  /** A transfer from here is under way. */
  #isGivingAway = false
  /** That of the transfer that comes, or is under way. */
  #group: ControlGroup | undefined

  constructor(context: TransfersContext) {
    this.#context = context
  }

  get isGivingAway(): boolean {
    return this.#isGivingAway
  }

  /** Resolves when nothing follows into this process any more. */
  get settled(): Promise<void> {
    return this.#intake?.settled ?? Promise.resolve()
  }

  /** Nothing follows into this process from now on: it goes. */
  finish(): void {
    this.#intake?.finish()
  }

  begin(fields: TransferFields, descriptors: [number, number, number]): void {
    const group = fields.group === undefined ? undefined : this.#group
    if (fields.group !== group?.number) {
      // Its ballot did not fit into this process: alone it must not commit.
      closeAll(descriptors)
      this.#context.onTruncated()
      return
    }
    const [channel, pidfd, token] = descriptors
    const fence = new Fence(pidfd, token)
    const onEnding = (ending: Ending) => this.#onEnding(fields, ending)
    if (fields.side === 'predecessor') {
      this.finish()
      this.#isGivingAway = true
      const source = this.#context.source()
      new Predecessor(new Link(channel, TRANSFER, 'successor'), fence, source, fields, onEnding, group).start()
    } else {
      const sink = this.#context.sink()
      this.#intake = new Successor(new Link(channel, TRANSFER, 'predecessor'), fence, sink, fields, onEnding)
      this.#intake.start()
    }
  }

  /** The next transfer with this number is one of several. Takes over the ballot. */
  join(number: number, ballot: Ballot, control: Control): void {
    this.#group?.close()
    this.#group = new ControlGroup(number, ballot, control)
  }

  /** All of that group have settled. */
  freeze(number: number): void {
    if (this.#group?.number === number) this.#group.release()
  }

  /** The supervisor is gone. */
  lose(): void {
    this.#group?.lose()
  }

  #onEnding(fields: TransferFields, ending: Ending): void {
    if (fields.side === 'predecessor') {
      this.#group?.close()
      this.#group = undefined
      this.#isGivingAway = false
    }
    if (ending.outcome === 'active')
      // It holds what it has built, and would for as long as this process serves.
      void this.#intake?.settled.then(() => {
        this.#intake = undefined
      })
    this.#context.onEnding(fields, ending)
  }
}
