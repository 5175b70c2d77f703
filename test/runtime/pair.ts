/** A predecessor and a successor in one process, with sockets that are none: what the runtime does between them, and no more. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { HookList } from '../../src/runtime/hooks.js'
import { Sessions } from '../../src/runtime/sessions.js'
import { createSink } from '../../src/runtime/sink.js'
import { createSource } from '../../src/runtime/source.js'
import { States } from '../../src/runtime/states.js'
import type { Transport } from '../../src/runtime/transport.js'
import type { Parking } from '../../src/sys/parking.js'
import { Ledger } from '../../src/transfer/ledger.js'
import {
  type Accept,
  type Copy,
  type CopyLimits,
  type FollowSink,
  type FollowSource,
  type Offer,
  type Part,
  type Refusal,
  refusalOf,
  type Sink,
  type Source,
} from '../../src/transfer/types.js'

export class FakeSocket extends EventEmitter {
  destroyed = false
  /** What a description of it says. */
  stamp = 0
  /** It goes on by itself: bytes wait in this process. */
  isUnsettled = false
  readonly label: string

  constructor(label: string) {
    super()
    this.label = label
  }
}

export const socket = (label: string): Socket => new FakeSocket(label) as unknown as Socket
export const fake = (one: Socket): FakeSocket => one as unknown as FakeSocket
export const labelOf = (one: Socket): string => fake(one).label

export interface Faults {
  unsupported?: string
  refuses?: string
  describe?: Error
  adopt?: Error
  update?: Error
}

/** Notes what is done to sockets. */
export class FakeTransport implements Transport {
  readonly log: string[] = []
  readonly faults: Faults

  constructor(faults: Faults = {}) {
    this.faults = faults
  }

  unsupported = () => this.faults.unsupported
  refuses = () => this.faults.refuses
  attach = (one: Socket) => void this.log.push(`attach ${labelOf(one)}`)
  isUnsettled = (one: Socket) => fake(one).isUnsettled
  readonly followers = new Set<(one: Socket) => void>()

  describe(one: Socket) {
    if (this.faults.describe) throw this.faults.describe
    return { descriptor: 0, described: { label: labelOf(one), stamp: fake(one).stamp }, bytes: 0 }
  }

  follow(onUsed: (one: Socket) => void) {
    this.followers.add(onUsed)
    return () => void this.followers.delete(onUsed)
  }

  /** The socket is read, written, paused: what changes its description. */
  use(one: Socket) {
    for (const onUsed of this.followers) onUsed(one)
  }

  beginFreeze() {
    this.log.push('freeze')
    return {
      describe: (one: Socket) => this.describe(one),
      abandon: (one: Socket) => void this.log.push(`abandon ${labelOf(one)}`),
    }
  }

  adopt(descriptor: number, described: unknown, _parking: Parking) {
    const { label } = described as { label: string }
    this.log.push(`adopt ${label}`)
    if (this.faults.adopt) throw this.faults.adopt
    return {
      socket: socket(label),
      descriptor,
      attach: () => void this.log.push(`attach ${label}`),
      prepare: () => void this.log.push(`prepare ${label}`),
      update: (described: unknown, restored: boolean) => {
        if (this.faults.update) throw this.faults.update
        const { stamp } = described as { stamp: number }
        this.log.push(`update ${label} to ${stamp}, ${restored ? 'restored' : 'bare'}`)
      },
      release: () => void this.log.push(`release ${label}`),
      discard: () => void this.log.push(`discard ${label}`),
    }
  }
}

export class Half {
  readonly transport: FakeTransport
  readonly sessions: Sessions
  readonly states = new States()
  readonly hooks = new HookList()
  mayOpen = false

  constructor(faults?: Faults) {
    this.transport = new FakeTransport(faults)
    this.sessions = new Sessions(this.transport)
  }

  get log(): string[] {
    return this.transport.log
  }

  source(): Source {
    return createSource(this.sessions, this.states, this.transport, {
      hooks: this.hooks,
      onHandedOver: (moved) => {
        this.log.push(`handed over ${moved.length}`)
        this.hooks.moved()
      },
      report: () => undefined,
      mayOpen: () => this.mayOpen,
    })
  }

  sink(): Sink {
    return createSink(this.sessions, this.states, this.transport, () => this.log.push('active'))
  }
}

export const LIMITS: CopyLimits = { copyMs: 20_000, unsettled: 'freeze', policy: 'all-or-nothing' }

/** The way of a transfer in steps, without a channel. Each throws what either side throws. */
export class Move {
  readonly accept: Accept
  readonly copy: Copy
  /** What was sent: 'state rooms', 'batch 128', 'update 3', 'gone 1', 'freeze'. */
  readonly sent: string[] = []
  readonly #from: Source
  readonly #to: Sink
  readonly #offer: Offer
  readonly #ledger = new Ledger()
  readonly #isBestEffort: boolean
  #intake: FollowSink | undefined

  constructor(
    from: Source,
    to: Sink,
    change: (accept: Accept) => Accept = (accept) => accept,
    limits: CopyLimits = LIMITS,
  ) {
    this.#isBestEffort = limits.policy === 'best-effort'
    this.#from = from
    this.#to = to
    this.#offer = from.offer()
    this.accept = change(to.choose(this.#offer))
    this.copy = from.copy(this.accept, limits)
    this.#restore('copy')
  }

  /** What has stayed behind, after commit. */
  left: FollowSource | undefined

  /** All the predecessor sends while it serves; `between` runs after each part. */
  serve(between: () => void = () => undefined): this {
    for (let part = this.copy.next(); part !== undefined; part = this.copy.next()) {
      this.#give(part)
      between()
    }
    return this
  }

  freeze(): this {
    this.sent.push('freeze')
    this.copy.freeze()
    this.#restore('freeze')
    for (const part of this.copy.rest()) this.#give(part)
    this.#to.complete(this.copy.nextId)
    return this
  }

  commit(): this {
    this.copy.end()
    this.left = this.#from.handOver()
    this.#to.activate(0)
    return this
  }

  /** One batch of what follows; undefined when none is to be had. Returns who was refused. */
  follow(): string[] | undefined {
    const batch = this.left?.next()
    if (batch === undefined) return undefined
    this.#intake ??= this.#to.follow((kind) => this.#choiceOf(kind))
    const refused = this.#intake.take(
      batch.records,
      batch.records.map(() => 0),
    )
    this.#intake.release()
    this.left!.moved(refused, 1)
    return refused.map(({ id }) => String(id))
  }

  abort(): this {
    this.copy.end()
    this.#to.discard()
    return this
  }

  #restore(when: 'copy' | 'freeze'): void {
    for (const { name, bytes, checksum } of this.copy.states(when)) {
      this.sent.push(`state ${name}`)
      const choice = this.accept.states.find((state) => state.name === name)
      if (choice !== undefined) this.#to.restoreState(choice, bytes, checksum)
    }
  }

  #give(part: Part): void {
    const wrong = this.#ledger.note(part)
    if (wrong !== undefined) throw new Error(wrong)
    const size = { batch: 'records', update: 'changes', gone: 'ids' }[part.kind]
    const { length } = (part as unknown as Record<string, unknown[]>)[size]!
    if (length === 0) throw new Error(`an empty ${part.kind} is no valid message`)
    this.sent.push(`${part.kind} ${length}`)
    if (part.kind === 'update') for (const change of part.changes) this.#one(change[0], () => this.#to.update(change))
    else if (part.kind === 'gone') for (const id of part.ids) this.#to.forget(id)
    else
      for (const record of part.records) {
        const choice = this.#choiceOf(record[1])
        if (choice !== undefined) this.#one(record[0], () => this.#to.adopt(choice, record, 0))
      }
  }

  #choiceOf(kind: number) {
    return this.accept.sessions.find(({ name }) => name === this.#offer.sessions[kind]?.name)
  }

  /** As the two sides do it, if single sessions may be refused. */
  #one(id: number, run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!this.#isBestEffort) throw error
      this.#to.forget(id)
      this.#ledger.drop([id])
      this.copy.refused([refusalOf(id, error)])
    }
  }
}

/** The whole way. Returns the sizes of the batches. */
export function move(from: Source, to: Sink, change?: (accept: Accept) => Accept): number[] {
  const { sent } = new Move(from, to, change).serve().freeze().commit()
  return sent.flatMap((what) => (what.startsWith('batch ') ? [Number(what.slice(6))] : []))
}

/** The reasons of the refusal that `run` ends with. */
export function reasonsOf(run: () => unknown): Refusal['reasons'] {
  try {
    run()
  } catch (error) {
    return (error as Refusal).reasons
  }
  throw new Error('it was not refused')
}
