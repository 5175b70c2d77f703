/**
 * A runtime's part in an escrow: the predecessor of a transfer that never comes to its freeze. A keeper has checkpoints of the
 * sessions and duplicates of their sockets; should this process crash, they go on in the next one.
 */
import { closeAll } from '../sys/channel.js'
import { Link } from '../sys/link.js'
import { Fence } from '../transfer/fence.js'
import { Predecessor } from '../transfer/predecessor.js'
import type { Group } from '../transfer/types.js'
import { ESCROW_OVER } from '../wire/escrow.js'
import { TRANSFER } from '../wire/messages.js'
import { checkpointSource } from './checkpoints.js'
import type { Sessions } from './sessions.js'
import type { States } from './states.js'
import type { TransferFields } from './transfers.js'
import type { Transport } from './transport.js'

export interface EscrowContext {
  readonly sessions: Sessions
  readonly states: States
  readonly transport: Transport
  /** Called when there is none any more, or none can begin: the supervisor is to offer it again. */
  onOver(): void
}

export class Escrow {
  readonly #context: EscrowContext
  #giver: Predecessor | undefined

  constructor(context: EscrowContext) {
    this.#context = context
  }

  /** @param may this process serves, and does not hand over. */
  begin(fields: TransferFields, descriptors: [number, number, number], may: boolean): void {
    const { sessions, states, transport, onOver } = this.#context
    // One at a time follows what changes: an escrow, a transfer, or a give.
    if (!may || sessions.follower !== undefined) {
      closeAll(descriptors)
      onOver()
      return
    }
    const [channel, pidfd, token] = descriptors
    const rounds = new Rounds(fields.escrowMs as number)
    const link = new Link(channel, TRANSFER, 'successor')
    const giver = new Predecessor(
      link,
      new Fence(pidfd, token),
      checkpointSource(sessions, states, transport, () => rounds.hurry()),
      { ...fields, policy: 'best-effort' },
      () => {
        rounds.hurry()
        if (this.#giver === giver) this.#giver = undefined
        onOver()
      },
      rounds,
    )
    this.#giver = giver
    giver.start()
    // Served or not, the process ends when it likes.
    link.unref()
  }

  /** What is kept is of no use any more: the sessions are about to be another process'. At once. */
  end(): void {
    this.#giver?.withdraw(ESCROW_OVER)
  }
}

/** Never to freeze, and until then another round from time to time. */
class Rounds implements Group {
  readonly isEndless = true
  readonly #everyMs: number
  #next: () => void = () => undefined

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  get ballot(): never {
    throw new Error('an escrow is not voted for')
  }

  settled = (): void => undefined
  voted = (): void => undefined

  async mayFreeze(): Promise<false> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#everyMs)
      timer.unref()
      this.#next = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    return false
  }

  /** The next round comes at once: somebody waits for it. */
  hurry(): void {
    setImmediate(this.#next)
  }
}
