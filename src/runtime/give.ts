/** Sessions that this process gives to another one that serves, or takes from some: a few, or all when it is to go. */
import type { Socket } from 'node:net'
import { closeAll } from '../sys/channel.js'
import { Link } from '../sys/link.js'
import { Giving, Taking } from '../transfer/give.js'
import type { FollowSource, Offer, Sink } from '../transfer/types.js'
import { type CONTROL, type Fields, TRANSFER } from '../wire/messages.js'
import { Following } from './follow.js'
import type { Sessions } from './sessions.js'
import type { Transport } from './transport.js'

type GiveFields = Fields<typeof CONTROL, 'give'>
type GivenFields = Fields<typeof CONTROL, 'given'>

export interface GivesContext {
  readonly sessions: Sessions
  readonly transport: Transport
  offer(): Offer
  /** @param onFollowed called with the size of each batch. */
  sink(onFollowed: (count: number) => void): Pick<Sink, 'choose' | 'follow'>
  /** All is to go: from now on this process serves only what has not gone yet. Throws Refusal. */
  onLeave(following: Following, drainMs: number): void
  /** A session is another process'. */
  onMoved(socket: Socket): void
  /** Some were to come or go, and have as far as they can. */
  onGiven(given: GivenFields): void
  /** Whether connections are left that may become sessions. */
  mayOpen(): boolean
}

export class Gives {
  readonly #context: GivesContext
  #giving: Giving | undefined
  readonly #takings = new Set<Taking>()

  constructor(context: GivesContext) {
    this.#context = context
  }

  /** @param may this process serves, and does not hand over. */
  begin(fields: GiveFields, channel: number, may: boolean): void {
    if (!may) {
      closeAll([channel])
      this.#fail(fields, 'it hands over to its successor')
    } else if (fields.side === 'taker') this.#take(fields, channel)
    else this.#give(fields, channel)
  }

  /** Nothing comes any more, nor goes. */
  finish(): void {
    this.#giving?.finish()
    this.finishTaking()
  }

  finishTaking(): void {
    for (const taking of this.#takings) taking.finish()
  }

  /** Resolves when nothing comes any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#takings].map((taking) => taking.settled))
  }

  #take(fields: GiveFields, channel: number): void {
    let taken = 0
    const sink = this.#context.sink((count) => {
      taken += count
    })
    const taking = new Taking(new Link(channel, TRANSFER, 'predecessor'), sink, fields)
    this.#takings.add(taking)
    void taking.settled.then(() => {
      this.#takings.delete(taking)
      this.#context.onGiven({ give: fields.give, sessions: taken, pauseMs: null, reasons: [] })
    })
    taking.start()
  }

  #give(fields: GiveFields, channel: number): void {
    const { sessions, transport, mayOpen, onMoved, offer } = this.#context
    const { sessions: most } = fields
    this.#giving?.finish()
    this.#giving = new Giving(
      new Link(channel, TRANSFER, 'successor'),
      {
        // Shared state stays with whom it is of.
        offer: () => ({ ...offer(), states: [] }),
        begin: (accept) => {
          const isAll = most === undefined
          const following = new Following(sessions, transport, accept, new Map(), isAll ? mayOpen : undefined, most)
          if (isAll) this.#context.onLeave(following, fields.drainMs)
          else following.onMoved = onMoved
          return isAll ? following : this.#share(fields, following)
        },
        fail: ([first]) => this.#fail(fields, first?.reason ?? 'it was refused'),
      },
      fields,
    )
    this.#giving.start()
  }

  /** Each is tried once: who may not move stays, and is served here as before. */
  #share({ give }: GiveFields, following: Following): FollowSource {
    const { sessions, onGiven } = this.#context
    return {
      onStop: () => undefined,
      next: () => following.next(),
      due: () => (following.isTrying ? Promise.resolve() : undefined),
      moved: (refused, pauseMs) => following.moved(refused, pauseMs),
      keep: (error) => following.keep(error),
      end(why) {
        following.end(why)
        if (sessions.follower === following) sessions.follower = undefined
        onGiven({ give, ...following.followed, reasons: [] })
      },
    }
  }

  #fail({ give }: GiveFields, reason: string): void {
    this.#context.onGiven({ give, sessions: 0, pauseMs: null, reasons: [{ reason, count: 1 }] })
  }
}
