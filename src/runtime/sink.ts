/** What a successor takes: restores shared states, adopts sessions held still, lets them go at commit. */
import { createHistogram } from 'node:perf_hooks'
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import { type Accept, type Choice, type Offer, Refusal, type Sink } from '../transfer/types.js'
import { openState } from '../wire/envelope.js'
import type { ReasonFields } from '../wire/fields.js'
import type { Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Adopted, Transport } from './transport.js'
import { commonVersion, readableVersions, stepUp, type Versioned } from './versions.js'

/** What a process has open beside its sessions, roughly: only the table's size follows from it. */
const SPARE_DESCRIPTORS = 256

/** @param onActive called when every session is live. */
export function createSink(sessions: Sessions, states: States, transport: Transport, onActive: () => void): Sink {
  const adopted: Adopted[] = []
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
        offered.flatMap(({ name, writes, sessions: count }): Choice[] => {
          const definition = find(name)
          const version = definition && commonVersion(writes, readableVersions(definition))
          if (version !== undefined) return [{ name, version }]
          // Nothing of this kind is alive: nothing can be lost.
          if (what === 'session kind' && count === 0) return []
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
      // Now, while the clients are still served: each doubling of the table during the freeze waits for RCU.
      if (offer.descriptors > 0)
        binding().growDescriptorTable(Math.min(binding().descriptorLimit().soft, offer.descriptors + SPARE_DESCRIPTORS))
      return accept
    },

    restoreState(choice, bytes, checksum) {
      refusing(choice, `restore of shared state ${choice.name} failed`, () => {
        const definition = states.definitions.get(choice.name)
        if (definition === undefined) throw new Error('it is not declared')
        notPromise(definition.restore(stepUp(definition, openState({ bytes, checksum }), choice.version)))
      })
    },

    adopt(choice, [id, , bytes, checksum, described], descriptor) {
      const kind = sessions.kinds.get(choice.name)
      const held = refusing(choice, `adoption of a session of kind ${choice.name} failed`, () => {
        if (kind !== undefined) return transport.adopt(descriptor, described)
        binding().close(descriptor)
        throw new Error('it is not declared')
      })
      adopted.push(held)
      if (kind === undefined) return
      refusing(choice, `restore of ${choice.name} failed`, () => {
        const { definition } = kind
        const session = definition.restore(
          held.socket,
          stepUp(definition, openState({ bytes, checksum }), choice.version),
        )
        notPromise(session)
        // Code that serves new and restored sockets alike may have opened the session itself.
        if (!kind.entries.has(held.socket)) sessions.add(kind, held.socket, { id, session })
      })
    },

    activate(frozenAtMs) {
      const pauses = createHistogram()
      for (const held of adopted) {
        held.release()
        // Microseconds: the histogram counts whole numbers from 1.
        pauses.record(Math.max(1, Math.round((nowMs() - frozenAtMs) * 1000)))
      }
      onActive()
      const ms = (microseconds: number) => microseconds / 1000
      const pauseMs =
        adopted.length === 0
          ? null
          : { p50: ms(pauses.percentile(50)), p99: ms(pauses.percentile(99)), max: ms(pauses.max) }
      return { sessions: adopted.length, pauseMs }
    },

    discard() {
      for (const held of adopted) held.discard()
      for (const kind of sessions.kinds.values()) kind.entries.clear()
    },
  }
}

function refusing<R>(choice: Choice, what: string, run: () => R): R {
  try {
    return run()
  } catch (error) {
    throw new Refusal([
      { kind: choice.name, version: choice.version, reason: `${what}: ${messageOf(error)}`.slice(0, 4096), count: 1 },
    ])
  }
}

function notPromise(value: unknown): void {
  if (!(value instanceof Promise)) return
  value.catch(() => undefined)
  throw new Error('it returned a promise; restore is synchronous, since the clients wait for it')
}
