/** The app's versions are of one socket's data; what travels is of many sockets. */
import type { Migration } from '../../runtime/types.js'
import type { ClientState, PollingState, WebSocketState } from './record.js'

type Steps = Readonly<Record<number, Migration>>

interface Versions {
  readonly version?: number
  readonly upgrade?: Steps
  readonly downgrade?: Steps
}

interface Wrapped {
  readonly version: number
  readonly upgrade: Steps
  readonly downgrade: Steps
}

export function stepsFor({ version = 1, upgrade = {}, downgrade = {} }: Versions): {
  ofPolling: Wrapped
  ofWebSockets: Wrapped
} {
  const wrap = (walk: (state: never, step: Migration) => void): Wrapped => ({
    version,
    upgrade: each(upgrade, walk),
    downgrade: each(downgrade, walk),
  })
  return {
    ofPolling: wrap(({ clients }: PollingState, step) => {
      for (const client of clients) take(client, step)
    }),
    ofWebSockets: wrap(({ client }: WebSocketState, step) => take(client, step)),
  }
}

function each(steps: Steps, walk: (state: never, step: Migration) => void): Steps {
  const wrapped: Record<number, Migration> = {}
  for (const [from, step] of Object.entries(steps))
    wrapped[Number(from)] = (state) => {
      walk(state as never, step)
      return state
    }
  return wrapped
}

function take(client: ClientState | null, step: Migration): void {
  for (const namespace of client?.namespaces ?? []) {
    const data = step(namespace.data)
    if (data instanceof Promise) throw new Error('a step returned a promise; steps are synchronous')
    namespace.data = data
  }
}
