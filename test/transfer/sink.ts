/** A successor with a sink that notes what it is given, against a predecessor that follows a script. */
import t, { type Test } from 'tap'
import { closeAll } from '../../src/sys/channel.js'
import { Successor } from '../../src/transfer/successor.js'
import {
  type Accept,
  type Choice,
  type Ending,
  type FollowSink,
  type Offer,
  Refusal,
  type Sink,
} from '../../src/transfer/types.js'
import { scaled, within } from '../harness/timeout.js'
import { openDescriptors } from '../sys/descriptors.js'
import { type Part, type Player, players } from './peer.js'

export const PATIENT = { checkMs: scaled(20_000), freezeMs: scaled(10_000), drainMs: scaled(20_000) }
export const SHORT_MS = scaled(300)

export type Asked = 'choose' | 'restoreState' | 'adopt' | 'update' | 'forget' | 'complete'
export type Fails = Partial<Record<Asked, (call: number) => void>>

export class FakeSink implements Sink {
  readonly calls: string[] = []
  frozenAtMs = 0
  readonly #held: number[] = []
  readonly #fails: Fails

  constructor(fails: Fails = {}) {
    this.#fails = fails
  }

  choose(offer: Offer): Accept {
    this.#called('choose')
    const newest = ({ name, writes }: Offer['sessions'][number]) => ({ name, version: writes[0]! })
    return { sessions: offer.sessions.map(newest), states: offer.states.map(newest) }
  }

  restoreState() {
    this.#called('restoreState')
  }

  adopt(_choice: unknown, _record: unknown, descriptor: number) {
    this.#held.push(descriptor)
    this.#called('adopt')
  }

  update() {
    this.#called('update')
  }

  forget() {
    this.#called('forget')
  }

  complete(_nextId: number) {
    this.#called('complete')
  }

  activate(frozenAtMs: number) {
    this.calls.push('activate')
    this.frozenAtMs = frozenAtMs
    closeAll(this.#held.splice(0))
    return { sessions: this.count('adopt'), pauseMs: null }
  }

  discard() {
    this.calls.push('discard')
    closeAll(this.#held.splice(0))
  }

  follow(_choiceOf: (kind: number) => Choice | undefined): FollowSink {
    throw new Error('nothing follows here')
  }

  count(name: string): number {
    return this.calls.filter((call) => call === name).length
  }

  #called(name: Asked): void {
    this.calls.push(name)
    this.#fails[name]?.(this.count(name))
  }
}

export interface Run {
  readonly ending: Ending
  readonly part: Part
  readonly peer: Player
  readonly sink: FakeSink
  /** Whether the peer was dead at the instant of the ending. */
  readonly wasDead: boolean
}

export const nextPlayer = players(t)

export async function run(t: Test, acts: readonly string[], deadlines = PATIENT, sink = new FakeSink()): Promise<Run> {
  const peer = await nextPlayer()
  const before = openDescriptors()
  const part = peer.play('predecessor', acts)
  let wasDead = false
  let endings = 0
  const ending = await within(
    new Promise<Ending>((resolve) => {
      const onEnding = (how: Ending): void => {
        endings++
        wasDead = ['Z', undefined].includes(peer.state)
        resolve(how)
      }
      new Successor(part.link, part.fence, sink, deadlines, onEnding).start()
    }),
    () => `the ending; the peer said:\n${part.lines().join('\n')}`,
  )
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(endings, 1, 'told once')
  t.equal(part.link.isOpen, false)
  t.ok(openDescriptors() <= before, 'no descriptor is left open')
  return { ending, part, peer, sink, wasDead }
}

/** How a peer brings the successor into each phase. */
export const TO: Record<string, string[]> = { check: [], copy: ['send offer', 'expect accept'] }
export const COPIED = [...TO['copy']!, 'send state', 'send batch', 'expect received']
TO['transfer'] = [...TO['copy']!, 'send freeze']
TO['vote'] = [...COPIED, 'send freeze', 'send update', 'expect received', 'send manifest', 'expect prepared']

export function isActive(t: Test, { ending, sink }: Run): void {
  t.match(ending, { outcome: 'active' })
  t.same([sink.count('activate'), sink.count('discard')], [1, 0])
}

export function isAborted(t: Test, { ending, sink }: Run, reason: RegExp, outcome = 'failed'): void {
  t.equal(ending.outcome, outcome)
  t.same([sink.count('activate'), sink.count('discard')], [0, 1], 'nothing is begun, all is closed')
  if (ending.outcome === 'refused' || ending.outcome === 'failed') t.match(ending.reasons[0]?.reason, reason)
}

export const no = (what: string) => (): never => {
  throw new Refusal([{ kind: 'chat', version: 1, reason: what, count: 1 }])
}
