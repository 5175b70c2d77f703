/**
 * Bags: what a keeper has, in socketpairs that need no process. A message in a socket's queue holds the descriptors that came
 * with it (unix(7)), and goes on holding them when the writing end is closed; so one descriptor of the reading end, in a
 * store of the service manager, keeps a thousand connections.
 */
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'
import { nowMs } from '../sys/clock.js'
import { Link } from '../sys/link.js'
import { BAG, BAG_FORMAT } from '../wire/bag.js'
import type { ReasonFields } from '../wire/fields.js'
import { type Batch, batchesOf, type Kept, kindsOf } from './kept.js'

export interface Bag {
  /** The reading end; the caller's. */
  readonly descriptor: number
  readonly sessions: number
}

/**
 * All it has, in as many bags as it takes: a queue is as long as the sender's buffer (SO_SNDBUF). The keeper has its own
 * descriptors still. Throws what the kernel says when no more may be in flight (ETOOMANYREFS): nothing is left then.
 */
export function pack(kept: Kept): Bag[] {
  const bags: Filling[] = []
  try {
    const batches = batchesOf(kept)[Symbol.iterator]()
    let next = batches.next()
    do {
      const bag = new Filling()
      bags.push(bag)
      bag.begin(kept, bags.length === 1)
      while (!next.done && bag.add(next.value)) next = batches.next()
    } while (!next.done)
    return bags
  } catch (error) {
    closeAll(bags.map(({ descriptor }) => descriptor))
    throw error
  } finally {
    for (const bag of bags) bag.close()
  }
}

class Filling implements Bag {
  readonly descriptor: number
  sessions = 0
  readonly #link: Link<typeof BAG>

  constructor() {
    const [ours, theirs] = binding().socketpair()
    this.descriptor = theirs
    this.#link = new Link(ours, BAG, 'keeper')
  }

  begin(kept: Kept, withStates: boolean): void {
    this.#link.sendBefore(nowMs(), 'contents', { format: BAG_FORMAT, kinds: kindsOf(kept), nextId: kept.nextId })
    for (const state of withStates ? kept.states.values() : [])
      if (!this.#link.sendBefore(nowMs(), 'state', state)) throw new Error('the shared states do not fit into one bag')
  }

  /** False when it is full. */
  add({ records, descriptors }: Batch): boolean {
    if (!this.#link.sendBefore(nowMs(), 'sessions', { sessions: records }, descriptors)) {
      if (this.sessions > 0) return false
      throw new Error('the shared states leave no room for sessions in a bag')
    }
    this.sessions += records.length
    return true
  }

  close(): void {
    this.#link.close()
  }
}

/** Takes over a bag, and what is in it. Returns what could not be had, and why: that is lost. */
export function unpack(kept: Kept, descriptor: number): ReasonFields[] {
  const link = new Link(descriptor, BAG, 'keeper')
  try {
    const first = link.receiveBefore(nowMs())
    if (!('fields' in first) || first.kind !== 'contents') return lost('it does not begin with its contents')
    const { format, kinds, nextId } = first.fields
    if (format !== BAG_FORMAT) return lost(`its format is ${format}, this version reads ${BAG_FORMAT}`)
    kept.nextId = Math.max(kept.nextId, nextId)
    return empty(kept, link, kinds)
  } catch (error) {
    return lost(messageOf(error))
  } finally {
    link.close()
  }
}

function empty(
  kept: Kept,
  link: Link<typeof BAG>,
  kinds: readonly { name: string; version: number }[],
): ReasonFields[] {
  const reasons: ReasonFields[] = []
  for (;;) {
    const message = link.receiveBefore(nowMs())
    if (!('fields' in message)) return message.kind === 'eof' ? reasons : [...reasons, ...lost(message.reason)]
    if (message.kind === 'state') {
      const { name } = message.fields
      if (kept.states.has(name)) reasons.push({ reason: `shared state ${name} is another worker's, too`, count: 1 })
      else kept.states.set(name, { ...message.fields, bytes: Uint8Array.from(message.fields.bytes) })
    } else if (message.kind === 'sessions')
      for (const [position, [id, index, state, checksum, socket]] of message.fields.sessions.entries()) {
        const descriptor = message.descriptors[position] as number
        const kind = kinds[index]
        const why =
          kind === undefined || state === null
            ? `it is ${kind === undefined ? 'of no known kind' : 'without its state'}`
            : kept.add(id, { kind: kind.name, version: kind.version, descriptor, state, checksum, socket })
        if (why === undefined) continue
        binding().close(descriptor)
        reasons.push({ reason: `session ${id}: ${why}`, count: 1 })
      }
  }
}

const lost = (why: string): ReasonFields[] => [{ reason: `what was kept cannot be read: ${why}`, count: 1 }]
