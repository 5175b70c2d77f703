/** A keeper takes whatever a runtime has, as it is: it restores nothing, and reads no byte of a socket. */
import { binding } from '../sys/binding.js'
import { type Choice, type FollowSink, Refusal, type Sink } from '../transfer/types.js'
import type { SessionRecord } from '../wire/session-record.js'
import type { Kept } from './kept.js'

/** @param makeRoom called with the number of descriptors to come. Throws Refusal. */
export function keeperSink(kept: Kept, makeRoom: (sessions: number) => void): Sink {
  let optional = new Set<string>()
  return {
    choose(offer) {
      makeRoom(offer.descriptors)
      optional = new Set(offer.states.flatMap((state) => (state.optional ? state.name : [])))
      // The newest version: the next runtime is of the release of this one, or a later one.
      const newest = (what: string) => (offered: (typeof offer.sessions)[number]) => {
        const [version] = offered.writes
        if (version === undefined) throw refused(`${what} ${offered.name} is offered in no version`)
        return { name: offered.name, version }
      }
      return {
        sessions: offer.sessions.map(newest('the session kind')),
        states: offer.states.map(newest('the shared state')),
      }
    },

    restoreState({ name, version }, bytes, checksum) {
      kept.states.set(name, { name, version, optional: optional.has(name), bytes: own(bytes), checksum })
    },

    adopt: (choice, record, descriptor) => keep(kept, choice, record, descriptor),

    update([id, state, checksum, socket]) {
      const session = kept.sessions.get(id)
      if (session === undefined) return
      if (state !== null) {
        session.state = own(state)
        session.checksum = checksum
      }
      if (socket !== null) session.socket = detached(socket)
    },

    forget: (id) => kept.drop(id),

    complete(nextId) {
      kept.nextId = Math.max(kept.nextId, nextId)
      for (const { kind, state } of kept.sessions.values())
        if (state === null) throw refused(`a session of kind ${kind} came without its state`)
    },

    activate: () => ({ sessions: kept.sessions.size, pauseMs: null }),

    discard: () => kept.clear(),

    follow: (choiceOf) => keeperFollowSink(kept, choiceOf),
  }
}

function keeperFollowSink(kept: Kept, choiceOf: (kind: number) => Choice | undefined): FollowSink {
  let batch: { choice: Choice; record: SessionRecord; descriptor: number }[] = []
  return {
    take(records, descriptors) {
      batch = []
      return records.flatMap((record, position) => {
        const descriptor = descriptors[position] as number
        const choice = choiceOf(record[1])
        if (choice !== undefined && record[2] !== null) {
          batch.push({ choice, record, descriptor })
          return []
        }
        binding().close(descriptor)
        return {
          id: record[0],
          reason: `it came ${choice === undefined ? 'of a kind that was not agreed' : 'without its state'}`,
        }
      })
    },
    release() {
      for (const { choice, record, descriptor } of batch.splice(0)) keep(kept, choice, record, descriptor)
    },
    discard() {
      for (const { descriptor } of batch.splice(0)) binding().close(descriptor)
    },
    close: () => undefined,
  }
}

function keep(kept: Kept, { name, version }: Choice, record: SessionRecord, descriptor: number): void {
  const [id, , state, checksum, socket] = record
  kept.add(id, {
    kind: name,
    version,
    descriptor,
    state: state === null ? null : own(state),
    checksum,
    socket: detached(socket),
  })
}

/** What was received are views of the whole message: kept, they would keep it. */
const own = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)
const detached = (socket: unknown): unknown =>
  socket instanceof Uint8Array ? own(socket) : Array.isArray(socket) ? socket.map(detached) : socket

function refused(reason: string): Refusal {
  return new Refusal([{ reason, count: 1 }])
}
