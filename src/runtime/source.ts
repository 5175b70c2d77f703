/** What a predecessor gives. */
import type { Socket } from 'node:net'
import type { Accept, Copy, CopyLimits, Offer, Source } from '../transfer/types.js'
import { SessionCopy } from './copy.js'
import type { Following } from './follow.js'
import type { Kind, Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Transport } from './transport.js'
import { writableVersions } from './versions.js'

/**
 * @param onHandedOver called, with every session that moved abandoned, before the loop turns again; and with what is left.
 * @param report called while it is copied, when sessions have come or gone.
 */
export function createSource(
  sessions: Sessions,
  states: States,
  transport: Transport,
  onHandedOver: (moved: readonly Socket[], left: Following | undefined) => void,
  report: () => void = () => undefined,
): Source {
  const movable = transport.unsupported() === undefined
  const countOf = (kind: Kind) => (movable ? kind.size : 0)
  let copy: SessionCopy | undefined

  return {
    offer(): Offer {
      const kinds = [...sessions.kinds.values()]
      return {
        sessions: kinds.map((kind) => ({
          name: kind.name,
          writes: writableVersions(kind.definition),
          sessions: countOf(kind),
        })),
        states: [...states.definitions].map(([name, definition]) => ({
          name,
          writes: writableVersions(definition),
          sessions: 0,
        })),
        descriptors: kinds.reduce((sum, kind) => sum + countOf(kind), 0),
      }
    },

    copy(accept: Accept, limits: CopyLimits): Copy {
      copy = new SessionCopy(sessions, states, transport, accept, limits, report)
      return copy
    },

    handOver() {
      const moved = copy?.abandonAll() ?? []
      for (const socket of moved) sessions.kindOf(socket)?.entries.delete(socket)
      const following = movable && copy !== undefined ? copy.following() : undefined
      onHandedOver(moved, following)
      if (following === undefined || following.size > 0) return following
      following.end('everything had moved')
      return undefined
    },
  }
}
