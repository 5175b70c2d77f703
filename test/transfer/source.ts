/** A predecessor with a source of scripted sessions, against a successor that follows a script. */
import t, { type Test } from 'tap'
import { binding } from '../../src/sys/binding.js'
import { Predecessor } from '../../src/transfer/predecessor.js'
import type { Ending, FollowSource, Group, Part, Source } from '../../src/transfer/types.js'
import { sealState } from '../../src/wire/envelope.js'
import type { RefusalFields } from '../../src/wire/fields.js'
import { scaled, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { type Part as Acts, type Player, players } from './peer.js'

/** Batches, a session each, while it serves. */
export const COPIED = 6
export const PATIENT = { checkMs: scaled(20_000), freezeMs: scaled(20_000), drainMs: scaled(20_000) }
/** For a peer that never answers: long enough for it to come to its last act. */
export const SHORT_MS = scaled(700)

export const { bytes, checksum } = sealState({ some: 'state' })
export const later = sealState({ some: 'later state' })

export interface Fails {
  readonly at: 'states' | 'copy' | 'next' | 'freeze' | 'rest'
  readonly error: Error
}

export class FakeSource implements Source {
  begun = 0
  ended = 0
  handedOver = 0
  readonly file = binding().memfd('session')
  readonly #fails: Fails | undefined

  constructor(fails?: Fails) {
    this.#fails = fails
  }

  offer() {
    return {
      sessions: [{ name: 'chat', writes: [1], sessions: COPIED }],
      states: [{ name: 'rooms', writes: [1], sessions: 0 }],
      descriptors: COPIED,
    }
  }

  copy() {
    this.#comesTo('copy')
    this.begun++
    return this
  }

  *states(when: 'copy' | 'freeze') {
    this.#comesTo(when === 'copy' ? 'states' : 'freeze')
    yield { name: 'rooms', ...(when === 'copy' ? { bytes, checksum } : later) }
  }

  /** What the copy has to say beside. */
  readonly notes = []

  #copied = 0
  frozen = 0
  thawed = 0
  freeze() {
    this.frozen++
  }

  thaw() {
    this.thawed++
  }

  next(): Part | undefined {
    if (this.#copied === 2) this.#comesTo('next')
    return this.#copied < COPIED ? this.#batch(++this.#copied) : undefined
  }

  agains = 0
  again(): void {
    this.agains++
  }

  *rest(): Iterable<Part> {
    yield this.#batch(COPIED + 1)
    this.#comesTo('rest')
    yield { kind: 'update', changes: [[1, later.bytes, later.checksum, null]] }
    yield { kind: 'update', changes: [[2, null, 0, { only: 'the socket' }]] }
    yield { kind: 'gone', ids: [3] }
    yield this.#batch(COPIED + 2)
  }

  end() {
    this.ended++
  }

  readonly nextId = 100
  readonly refusedIds: number[] = []

  refused(refusals: readonly RefusalFields[]) {
    this.refusedIds.push(...refusals.map(({ id }) => id))
  }

  reasons() {
    return this.refusedIds.map((id) => ({ reason: `${id} stays`, count: 1 }))
  }

  handOver(): FollowSource | undefined {
    this.handedOver++
    return undefined
  }

  #batch(id: number): Part {
    return { kind: 'batch', records: [[id, 0, bytes, checksum, null]], descriptors: [this.file] }
  }

  #comesTo(place: Fails['at']): void {
    if (this.#fails?.at === place) throw this.#fails.error
  }
}

/** What `rest` sends. */
export const REST = ['batch', 'update', 'update', 'gone', 'batch']
export const MOVED = COPIED + 2 - 1

export interface Run {
  readonly ending: Ending
  readonly part: Acts
  readonly peer: Player
  readonly source: FakeSource
  /** Whether the peer was dead at the instant of the ending. */
  readonly wasDead: boolean
}

export const nextPlayer = players(t)

export async function run(
  t: Test,
  acts: readonly string[],
  deadlines = PATIENT,
  source = new FakeSource(),
  group?: Group,
): Promise<Run> {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('successor', acts)
  let wasDead = false
  let endings = 0
  const ending = await within(
    new Promise<Ending>((resolve) => {
      const onEnding = (how: Ending): void => {
        endings++
        wasDead = peer.state === 'Z'
        resolve(how)
      }
      new Predecessor(part.link, part.fence, source, deadlines, onEnding, group).start()
    }),
    () => `the ending; the peer said:\n${part.lines().join('\n')}`,
  )
  t.equal(endings, 1, 'told once')
  t.equal(part.link.isOpen, false)
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  binding().close(source.file)
  t.equal(source.ended, source.begun, 'a copy that has begun is ended, once')
  return { ending, part, peer, source, wasDead }
}

export const taken = (parts: readonly string[]): string[] =>
  parts.flatMap((kind) => [`expect ${kind}`, 'send received'])
export const BATCHES = Array.from({ length: COPIED }, () => 'batch')

/** How a peer comes to each phase of the predecessor. */
export const TO: Record<string, string[]> = { check: ['expect offer'] }
export const AGREED = [...TO['check']!, 'send accept', 'expect state']
export const FROZEN = [...AGREED, ...taken(BATCHES), 'expect freeze', 'expect state']
// Four parts under way without an acknowledgement: now it waits, serving, and then once more, frozen.
TO['copy'] = [...AGREED, ...BATCHES.slice(0, 4).map((kind) => `expect ${kind}`)]
TO['transfer'] = [...FROZEN, ...REST.slice(0, 4).map((kind) => `expect ${kind}`)]
TO['vote'] = [...FROZEN, ...taken(REST), 'expect manifest']
TO['commit'] = [...TO['vote']!, 'send prepared', 'expect commit']

export function notTaken(t: Test, { ending, source }: Run, reason: RegExp, outcome = 'failed'): void {
  t.equal(ending.outcome, outcome)
  t.equal(source.handedOver, 0, 'nothing is given up')
  if (ending.outcome !== 'refused' && ending.outcome !== 'failed') return
  t.equal(ending.reasons.length, 1)
  t.match(ending.reasons[0]!.reason, reason)
}
