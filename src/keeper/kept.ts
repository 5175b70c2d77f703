/** What a keeper holds: sessions as they were captured, and their sockets, which nobody reads meanwhile. */
import { binding } from '../sys/binding.js'
import { MAX_BATCH, type SessionRecord, type StateBytes } from '../wire/session-record.js'

export interface KeptSession {
  readonly kind: string
  /** The version its state was written in. */
  readonly version: number
  readonly descriptor: number
  state: StateBytes
  checksum: number
  /** As the transport described it. */
  socket: unknown
}

export interface KeptState {
  readonly name: string
  readonly version: number
  /** A successor without it does well enough. */
  readonly optional: boolean
  readonly bytes: Uint8Array
  readonly checksum: number
}

export class Kept {
  /** By id, in the order they came. */
  readonly sessions = new Map<number, KeptSession>()
  readonly states = new Map<string, KeptState>()
  /** Ids of sessions to come begin here. */
  nextId = 1
  /** One for each kind: what is offered to a runtime is of one version. */
  readonly #versions = new Map<string, number>()

  /**
   * Owns the descriptor from here on. One whose id is another's, of another process, gets a new one. Returns why it is not
   * taken, if it is not.
   */
  add(id: number, session: KeptSession): string | undefined {
    const { kind, version } = session
    const known = this.#versions.get(kind) ?? version
    if (known !== version) return `${kind} is there in version ${known}, this one is of version ${version}`
    this.#versions.set(kind, version)
    const own = this.sessions.has(id) ? this.nextId : id
    this.sessions.set(own, session)
    this.nextId = Math.max(this.nextId, own + 1)
    return undefined
  }

  drop(id: number): void {
    const session = this.sessions.get(id)
    this.sessions.delete(id)
    if (session !== undefined) binding().close(session.descriptor)
  }

  /** How many there are of each kind. */
  counts(): { name: string; count: number }[] {
    const counts = new Map<string, number>()
    for (const { kind } of this.sessions.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    return [...counts].map(([name, count]) => ({ name, count }))
  }

  /** Closes every socket: where no other process has it, the client hears of its end. */
  clear(): void {
    for (const { descriptor } of this.sessions.values()) binding().close(descriptor)
    this.sessions.clear()
    this.states.clear()
  }
}

/** The kinds, each in one version, in the order they were met: what records name by their index. */
export function kindsOf(kept: Kept): { name: string; version: number }[] {
  const kinds = new Map<string, { name: string; version: number }>()
  for (const { kind, version } of kept.sessions.values()) if (!kinds.has(kind)) kinds.set(kind, { name: kind, version })
  return [...kinds.values()]
}

/** Sessions that go in one message. */
export interface Batch {
  readonly records: SessionRecord[]
  /** Stay the keeper's. */
  readonly descriptors: number[]
}

const BATCH_BYTES = 1024 * 1024

/** All of them, in batches; `kind` of a record is the index in `kindsOf`. */
export function* batchesOf(kept: Kept): Iterable<Batch> {
  const indexes = new Map(kindsOf(kept).map(({ name }, index) => [name, index]))
  let batch: Batch = { records: [], descriptors: [] }
  let size = 0
  for (const [id, { kind, state, checksum, socket, descriptor }] of kept.sessions) {
    batch.records.push([id, indexes.get(kind) as number, state, checksum, socket])
    batch.descriptors.push(descriptor)
    size += state?.length ?? 0
    if (batch.records.length < MAX_BATCH && size < BATCH_BYTES) continue
    yield batch
    batch = { records: [], descriptors: [] }
    size = 0
  }
  if (batch.records.length > 0) yield batch
}
