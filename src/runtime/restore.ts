/** The app's part of taking a session over, and what becomes of it when that throws. */
import type { Socket } from 'node:net'
import { messageOf } from '../errors.js'
import { type Choice, Refusal } from '../transfer/types.js'
import { openState } from '../wire/envelope.js'
import { apart } from './apart.js'
import type { Kind, Sessions } from './sessions.js'
import type { Adopted } from './transport.js'
import { stepUp } from './versions.js'

/** Gives the app its session around a socket that is held still. Throws Refusal. */
export function restoreSession(
  sessions: Sessions,
  kind: Kind,
  choice: Choice,
  socket: Adopted,
  [id, bytes, checksum]: readonly [id: number, bytes: Uint8Array, checksum: number],
): void {
  refusing(choice, `restore of ${choice.name} failed`, () => {
    socket.prepare()
    const captured = stepUp(kind.definition, openState({ bytes, checksum }), choice.version)
    const session = kind.definition.restore(socket.socket, captured)
    notPromise('restore', session)
    // Code that serves new and restored sockets alike may have opened the session itself.
    if (!kind.entries.has(socket.socket)) sessions.add(kind, socket.socket, { id, session })
  })
}

export function refusing<R>(choice: Choice, what: string, run: () => R): R {
  try {
    return run()
  } catch (error) {
    throw new Refusal([
      { kind: choice.name, version: choice.version, reason: `${what}: ${messageOf(error)}`.slice(0, 4096), count: 1 },
    ])
  }
}

export function notPromise(what: string, value: unknown): void {
  if (!(value instanceof Promise)) return
  value.catch(() => undefined)
  throw new Error(`it returned a promise; ${what} is synchronous, since the clients wait for it`)
}

/** It is live: tells the app, should it want to know. */
export function adopted({ definition, entries }: Kind, socket: Socket): void {
  if (definition.onAdopted === undefined) return
  const entry = entries.get(socket)
  if (entry !== undefined) apart(() => definition.onAdopted?.(socket, entry.session))
}
