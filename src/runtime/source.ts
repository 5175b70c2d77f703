/** What a predecessor gives. */
import type { Socket } from 'node:net'
import type { Accept, Copy, CopyLimits, Offer, Source } from '../transfer/types.js'
import { SessionCopy } from './copy.js'
import type { Following } from './follow.js'
import type { HookList } from './hooks.js'
import type { Kind, Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Transport } from './transport.js'
import { writableVersions } from './versions.js'

export interface SourceContext {
  readonly hooks: HookList
  /** Called with every session that moved abandoned, before the loop turns again; and with what is left. */
  onHandedOver(moved: readonly Socket[], left: Following | undefined): void
  /** Called while it is copied, when sessions have come or gone. */
  report(): void
  /** Whether connections are left that may become sessions. */
  mayOpen(): boolean
}

export function createSource(sessions: Sessions, states: States, transport: Transport, context: SourceContext): Source {
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
      copy = new SessionCopy(sessions, states, transport, context.hooks, accept, limits, () => context.report())
      return copy
    },

    handOver() {
      const moved = copy?.abandonAll() ?? []
      const following = movable && copy !== undefined ? copy.following(() => context.mayOpen()) : undefined
      context.onHandedOver(moved, following)
      if (following === undefined || following.size > 0 || context.mayOpen()) return following
      following.end('everything had moved')
      return undefined
    },
  }
}
