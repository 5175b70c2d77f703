/** What a successor takes: restores shared states, adopts sessions held still, lets them go at commit. */
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import { collectYoung, prepareToCollect } from '../sys/node-internals.js'
import { Parking } from '../sys/parking.js'
import { type Accept, type Choice, type Offer, type Pause, Refusal, type Sink } from '../transfer/types.js'
import { openState } from '../wire/envelope.js'
import type { ReasonFields } from '../wire/fields.js'
import { makeRoom } from './budget.js'
import { createFollowSink } from './follow-sink.js'
import { adopted, notPromise, refusing, restoreSession } from './restore.js'
import type { Kind, Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Adopted, Transport } from './transport.js'
import { commonVersion, readableVersions, stepUp, type Versioned } from './versions.js'

interface Held {
  readonly socket: Adopted
  readonly kind: Kind
  readonly choice: Choice
  isRestored: boolean
}

/**
 * @param onActive called when every session is live.
 * @param onFollowed called with the size of each batch that has followed.
 * @param keepsIds ids of what follows name no other session here.
 */
export function createSink(
  sessions: Sessions,
  states: States,
  transport: Transport,
  onActive: () => void,
  onFollowed: (count: number) => void = () => undefined,
  keepsIds = true,
): Sink {
  /** By id, in the order they came. */
  const held = new Map<number, Held>()
  let parking: Parking | undefined
  /** Those whose state has not come yet. Counted, since the vote lies in the pause. */
  let bare = 0
  let expected = 0
  const definitionOf = (name: string) => sessions.kinds.get(name)?.definition

  return {
    choose(offer: Offer): Accept {
      const reasons: ReasonFields[] = []
      const unsupported = transport.unsupported()
      if (unsupported !== undefined && offer.descriptors > 0) {
        reasons.push({
          reason: `sockets cannot be adopted on Node ${process.versions.node}: ${unsupported} is not there`,
          count: offer.descriptors,
        })
      }
      const choices = (offered: Offer['sessions'], what: string, find: (name: string) => Versioned | undefined) =>
        offered.flatMap(({ name, writes, sessions: count, optional = false }): Choice[] => {
          const definition = find(name)
          const version = definition && commonVersion(writes, readableVersions(definition))
          const isEarly = what === 'session kind' && definitionOf(name)?.precopy !== undefined
          if (version !== undefined) return [isEarly ? { name, version, early: true } : { name, version }]
          // Nothing of this kind is alive: nothing can be lost.
          if (what === 'session kind' ? count === 0 : optional) return []
          const reason = definition
            ? `the predecessor writes version ${writes.join(', ')} of ${what} "${name}", the successor reads ${readableVersions(definition).join(', ')}`
            : `the successor does not declare ${what} "${name}"`
          reasons.push({
            kind: name,
            ...(writes[0] === undefined ? {} : { version: writes[0] }),
            reason,
            count: Math.max(1, count),
          })
          return []
        })
      const accept = {
        sessions: choices(offer.sessions, 'session kind', definitionOf),
        states: choices(offer.states, 'shared state', (name) => states.definitions.get(name)),
      }
      if (reasons.length > 0) throw new Refusal(reasons)
      makeRoom(offer.descriptors)
      prepareToCollect()
      expected = offer.descriptors
      return accept
    },

    restoreState(choice, bytes, checksum) {
      refusing(choice, `restore of shared state ${choice.name} failed`, () => {
        const definition = states.definitions.get(choice.name)
        if (definition === undefined) throw new Error('it is not declared')
        notPromise('restore', definition.restore(stepUp(definition, openState({ bytes, checksum }), choice.version)))
      })
    },

    adopt(choice, [id, , state, checksum, described], descriptor) {
      const kind = sessions.kinds.get(choice.name)
      const socket = refusing(choice, `adoption of a session of kind ${choice.name} failed`, () => {
        parking ??= new Parking()
        if (kind !== undefined) return transport.adopt(descriptor, described, parking)
        binding().close(descriptor)
        throw new Error('it is not declared')
      })
      if (kind === undefined) return
      const one: Held = { socket, kind, choice, isRestored: false }
      held.set(id, one)
      bare++
      if (state !== null) restore(id, one, state, checksum)
      // Before this part is acknowledged, so before the freeze: V8 would collect what was built here in the middle of it.
      if (held.size === expected) collectYoung()
    },

    update([id, state, checksum, described]) {
      const one = held.get(id)
      if (one === undefined) return
      const { socket, kind, choice } = one
      // The app has given it up already; the predecessor's copy is the last, and goes at commit.
      if (socket.socket.destroyed) return
      refusing(choice, `update of a session of kind ${choice.name} failed`, () => {
        if (described !== null) socket.update(described, one.isRestored)
        // It changed while it was copied: it is likely to be used next. Not released with those that are wanted, though: what
        // is done for each of hundreds at once, all others wait for.
        if (one.isRestored) socket.attach()
      })
      if (state === null) return
      if (!one.isRestored) restore(id, one, state, checksum)
      else
        refusing(choice, `update of ${choice.name} failed`, () => {
          const entry = kind.entries.get(socket.socket)
          if (entry === undefined) return
          const captured = stepUp(kind.definition, openState({ bytes: state, checksum }), choice.version)
          notPromise('update', kind.definition.precopy?.update(socket.socket, entry.session, captured))
        })
    },

    forget(id) {
      const one = held.get(id)
      if (one === undefined) return
      held.delete(id)
      const { socket, kind, choice, isRestored } = one
      if (!isRestored) bare--
      const entry = kind.entries.get(socket.socket)
      socket.discard()
      kind.entries.delete(socket.socket)
      // Without an entry the app has given it up by itself, and knows.
      if (!isRestored || entry === undefined) return
      refusing(choice, `forget of ${choice.name} failed`, () =>
        notPromise('forget', kind.definition.precopy?.forget(socket.socket, entry.session)),
      )
    },

    complete(nextId) {
      sessions.startIdsAt(nextId)
      if (bare === 0) return
      const missing = [...held.values()].find(({ isRestored }) => !isRestored)
      if (missing !== undefined)
        throw new Refusal([{ kind: missing.choice.name, reason: 'a session came without its state', count: 1 }])
    },

    activate(frozenAtMs) {
      const pausesMs: number[] = []
      // Those with bytes for the app or the client go on first; all others wake when they are used.
      parking?.goLive(() => pausesMs.push(nowMs() - frozenAtMs))
      onActive()
      for (const { socket, kind } of held.values()) adopted(kind, socket.socket)
      const sessions = held.size
      // What is live belongs to the app: its end must not find it remembered here.
      held.clear()
      return { sessions, pauseMs: quantiles(pausesMs, sessions - pausesMs.length, nowMs() - frozenAtMs) }
    },

    discard() {
      parking?.close()
      for (const { socket } of held.values()) socket.discard()
      for (const kind of sessions.kinds.values()) kind.entries.clear()
    },

    follow: (choiceOf) => createFollowSink(sessions, transport, choiceOf, onFollowed, keepsIds),
  }

  function restore(id: number, one: Held, bytes: Uint8Array, checksum: number): void {
    restoreSession(sessions, one.kind, one.choice, one.socket, [id, bytes, checksum])
    one.isRestored = true
    bare--
  }
}

/** Of single pauses, the shortest first, and then of `others` that all ended at `othersMs`. */
function quantiles(pausesMs: readonly number[], others: number, othersMs: number): Pause | null {
  const count = pausesMs.length + others
  if (count === 0) return null
  const at = (share: number) => pausesMs[Math.min(count - 1, Math.floor(share * count))] ?? othersMs
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
