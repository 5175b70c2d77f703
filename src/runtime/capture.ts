/** Captures one state or session, as the agreed version, into a checked envelope. */
import type { Socket } from 'node:net'
import { messageOf } from '../errors.js'
import { type Accept, type Choice, Refusal } from '../transfer/types.js'
import { type Envelope, openState, sealState } from '../wire/envelope.js'
import type { SessionUpdate } from '../wire/session-record.js'
import type { Frozen } from './frozen.js'
import type { Entry, Kind } from './sessions.js'
import type { Description } from './transport.js'
import { stepDown, type Versioned, writableVersions } from './versions.js'

export function captureOne(what: string, choice: Choice, definition: Versioned, capture: () => unknown): Envelope {
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
    throw refusal(choice, `capture of ${what} failed: ${messageOf(error)}`)
  }
}

/** Tells the app of the freeze; what it throws refuses the session. */
export function freezeOne(frozen: Frozen, kind: Kind, choice: Choice, socket: Socket, session: unknown): void {
  try {
    frozen.freeze(kind, socket, session)
  } catch (error) {
    throw refusal(choice, `onFreeze of ${kind.name} failed: ${messageOf(error)}`)
  }
}

export function describeOne(describe: (socket: Socket) => Description, socket: Socket, choice: Choice): Description {
  try {
    return describe(socket)
  } catch (error) {
    throw refusal(choice, messageOf(error))
  }
}

/** What the successor has of a session, and who captures it. */
export interface Known {
  readonly kind: Kind
  readonly entry: Entry
  readonly choice: Choice
  /** Restored while it is served. */
  readonly isEarly: boolean
  /** Of the state the successor has; undefined while it has none. */
  checksum: number | undefined
}

/**
 * Captures a session the successor knows once more; undefined when nothing has changed after all.
 * @param withState it is restored by now, or to be.
 * @param isUsed its socket may be otherwise than it was.
 */
export function captureChange(
  socket: Socket,
  known: Known,
  describe: (socket: Socket) => Description,
  withState: boolean,
  isUsed: boolean,
): { update: SessionUpdate; bytes: number } | undefined {
  const { kind, entry, choice } = known
  const { definition, name } = kind
  let state: SessionUpdate[1] = null
  let checksum = 0
  if (withState) {
    const envelope = captureOne(name, choice, definition, () => definition.capture(socket, entry.session))
    if (envelope.checksum !== known.checksum) {
      state = envelope.bytes
      checksum = envelope.checksum
    }
  }
  // After capture, which may use the socket.
  const description = isUsed ? describeOne(describe, socket, choice) : undefined
  if (state !== null) known.checksum = checksum
  if (state === null && description === undefined) return undefined
  return {
    update: [entry.id, state, checksum, description?.described ?? null],
    bytes: (state?.length ?? 0) + (description?.bytes ?? 0),
  }
}

/** The successor is to choose from what was offered; anything else would be state of one version by the name of another. */
export function checkChoice(what: string, { name, version }: Choice, definition: Versioned): void {
  const writes = writableVersions(definition)
  if (writes.includes(version)) return
  const reason = `the successor chose version ${version} of ${what} "${name}", offered were ${writes.join(', ')}`
  throw new Refusal([{ kind: name, version, reason, count: 1 }])
}

/** A kind that was empty at the offer may have been left out by the successor; its sessions of now would be lost. */
export function chosenFor(kind: Kind, accept: Accept): Choice {
  const choice = accept.sessions.find(({ name }) => name === kind.name)
  if (choice !== undefined) {
    checkChoice('session kind', choice, kind.definition)
    return choice
  }
  const { version } = kind.definition
  throw new Refusal([
    {
      kind: kind.name,
      version,
      reason: 'the successor does not know this session kind',
      count: Math.max(1, kind.size),
    },
  ])
}

function refusal(choice: Choice, reason: string): Refusal {
  return new Refusal([{ kind: choice.name, version: choice.version, reason: reason.slice(0, 4096), count: 1 }])
}
