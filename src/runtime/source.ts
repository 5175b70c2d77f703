/** What a predecessor gives: captures shared states and sessions at the one instant of the freeze. */
import type { Socket } from 'node:net'
import { messageOf } from '../errors.js'
import { type Accept, type Choice, type Offer, Refusal, type Source } from '../transfer/types.js'
import { type Envelope, openState, sealState } from '../wire/envelope.js'
import { MAX_BATCH, type SessionRecord } from '../wire/session-record.js'
import type { Kind, Sessions } from './sessions.js'
import type { States } from './states.js'
import type { Freeze, Transport } from './transport.js'
import { stepDown, type Versioned, writableVersions } from './versions.js'

/** A batch is sent when it holds this much, however few its sessions: one unsent megabyte should not wait for 127 others. */
const BATCH_BYTES = 1024 * 1024

/** @param onHandedOver called, with every session abandoned, before the loop turns again. */
export function createSource(
  sessions: Sessions,
  states: States,
  transport: Transport,
  onHandedOver: (moved: readonly Socket[]) => void,
): Source {
  const movable = transport.unsupported() === undefined
  const moving: Socket[] = []
  let freeze: Freeze | undefined

  const countOf = (kind: Kind) => (movable ? kind.size : 0)

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

    *captureStates(accept) {
      for (const choice of accept.states) {
        const definition = states.definitions.get(choice.name)
        if (definition === undefined) continue
        checkChoice('shared state', choice, definition)
        const envelope = captureOne(`shared state ${choice.name}`, choice, definition, () => definition.capture())
        yield { name: choice.name, ...envelope }
      }
    },

    *captureSessions(accept) {
      if (!movable) return
      freeze = transport.beginFreeze()
      let records: SessionRecord[] = []
      let descriptors: number[] = []
      let size = 0
      for (const [index, kind] of [...sessions.kinds.values()].entries()) {
        const choice = chosenFor(kind, accept)
        for (const [socket, { id, session }] of kind.entries) {
          // Ended already, only its 'close' is still to come.
          if (socket.destroyed || choice === undefined) continue
          const { bytes, checksum } = captureOne(kind.name, choice, kind.definition, () =>
            kind.definition.capture(socket, session),
          )
          const { descriptor, described } = describeOne(freeze, socket, choice)
          moving.push(socket)
          records.push([id, index, bytes, checksum, described])
          descriptors.push(descriptor)
          const { unread, unsent } = described as { unread?: Uint8Array; unsent?: Uint8Array }
          size += bytes.length + (unread?.length ?? 0) + (unsent?.length ?? 0)
          if (records.length === MAX_BATCH || size >= BATCH_BYTES) {
            yield { records, descriptors }
            records = []
            descriptors = []
            size = 0
          }
        }
      }
      if (records.length > 0) yield { records, descriptors }
    },

    handOver() {
      for (const socket of moving) freeze?.abandon(socket)
      onHandedOver(moving)
    },
  }
}

/** A kind that was empty at the offer may have been left out by the successor; its sessions of now would be lost. */
function chosenFor(kind: Kind, accept: Accept): Choice | undefined {
  const choice = accept.sessions.find(({ name }) => name === kind.name)
  if (choice === undefined && kind.size > 0) {
    throw new Refusal([
      {
        kind: kind.name,
        version: kind.definition.version,
        reason: 'the successor does not know this session kind',
        count: kind.size,
      },
    ])
  }
  if (choice !== undefined) checkChoice('session kind', choice, kind.definition)
  return choice
}

/** The successor is to choose from what was offered; anything else would be state of one version by the name of another. */
function checkChoice(what: string, { name, version }: Choice, definition: Versioned): void {
  const writes = writableVersions(definition)
  if (writes.includes(version)) return
  const reason = `the successor chose version ${version} of ${what} "${name}", offered were ${writes.join(', ')}`
  throw new Refusal([{ kind: name, version, reason, count: 1 }])
}

function captureOne(what: string, choice: Choice, definition: Versioned, capture: () => unknown): Envelope {
  try {
    const state = capture()
    if (state instanceof Promise) {
      state.catch(() => undefined)
      throw new Error('it returned a promise; capture is synchronous, so that all sessions are captured at one instant')
    }
    if (choice.version === definition.version) return sealState(state)
    // A step may change its argument, and capture may have returned the session itself: after an abort it serves on.
    return sealState(stepDown(definition, openState(sealState(state)), choice.version))
  } catch (error) {
    throw new Refusal([
      {
        kind: choice.name,
        version: choice.version,
        reason: `capture of ${what} failed: ${messageOf(error)}`,
        count: 1,
      },
    ])
  }
}

function describeOne(freeze: Freeze, socket: Socket, choice: Choice): { descriptor: number; described: unknown } {
  try {
    return freeze.describe(socket)
  } catch (error) {
    throw new Refusal([{ kind: choice.name, version: choice.version, reason: messageOf(error), count: 1 }])
  }
}
