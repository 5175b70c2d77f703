/** Captures one state or session, as the agreed version, into a checked envelope. */
import type { Socket } from 'node:net'
import { messageOf } from '../errors.js'
import { type Accept, type Choice, Refusal } from '../transfer/types.js'
import { type Envelope, openState, sealState } from '../wire/envelope.js'
import type { Kind } from './sessions.js'
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

export function describeOne(describe: (socket: Socket) => Description, socket: Socket, choice: Choice): Description {
  try {
    return describe(socket)
  } catch (error) {
    throw refusal(choice, messageOf(error))
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
