/** A predecessor and a successor in one process, with sockets that are none: what the runtime does between them, and no more. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Sessions } from '../../src/runtime/sessions.js'
import { createSink } from '../../src/runtime/sink.js'
import { createSource } from '../../src/runtime/source.js'
import { States } from '../../src/runtime/states.js'
import type { Transport } from '../../src/runtime/transport.js'
import type { Accept, Offer, Refusal, Sink, Source } from '../../src/transfer/types.js'

export class FakeSocket extends EventEmitter {
  destroyed = false
  readonly label: string

  constructor(label: string) {
    super()
    this.label = label
  }
}

export const socket = (label: string): Socket => new FakeSocket(label) as unknown as Socket
export const labelOf = (one: Socket): string => (one as unknown as FakeSocket).label

export interface Faults {
  unsupported?: string
  refuses?: string
  describe?: Error
  adopt?: Error
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

  beginFreeze() {
    this.log.push('freeze')
    return {
      describe: (one: Socket) => {
        if (this.faults.describe) throw this.faults.describe
        return { descriptor: 0, described: { label: labelOf(one), unread: Buffer.alloc(0), unsent: Buffer.alloc(0) } }
      },
      abandon: (one: Socket) => void this.log.push(`abandon ${labelOf(one)}`),
    }
  }

  adopt(_descriptor: number, described: unknown) {
    const { label } = described as { label: string }
    this.log.push(`adopt ${label}`)
    if (this.faults.adopt) throw this.faults.adopt
    return {
      socket: socket(label),
      release: () => void this.log.push(`release ${label}`),
      discard: () => void this.log.push(`discard ${label}`),
    }
  }
}

export class Half {
  readonly transport: FakeTransport
  readonly sessions: Sessions
  readonly states = new States()

  constructor(faults?: Faults) {
    this.transport = new FakeTransport(faults)
    this.sessions = new Sessions(this.transport)
  }

  get log(): string[] {
    return this.transport.log
  }

  source(): Source {
    return createSource(this.sessions, this.states, this.transport, (moved) =>
      this.log.push(`handed over ${moved.length}`),
    )
  }

  sink(): Sink {
    return createSink(this.sessions, this.states, this.transport, () => this.log.push('active'))
  }
}

/** The whole way, without a channel. Returns the sizes of the batches; throws what either side throws. */
export function move(from: Source, to: Sink, change: (accept: Accept) => Accept = (accept) => accept): number[] {
  const offer: Offer = from.offer()
  const accept = change(to.choose(offer))
  for (const { name, bytes, checksum } of from.captureStates(accept)) {
    const choice = accept.states.find((state) => state.name === name)
    if (choice !== undefined) to.restoreState(choice, bytes, checksum)
  }
  const sizes: number[] = []
  for (const { records } of from.captureSessions(accept)) {
    sizes.push(records.length)
    for (const record of records) {
      const choice = accept.sessions.find(({ name }) => name === offer.sessions[record[1]]?.name)
      if (choice !== undefined) to.adopt(choice, record, 0)
    }
  }
  from.handOver()
  to.activate(0)
  return sizes
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
