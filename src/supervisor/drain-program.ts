/**
 * The end of a predecessor that does not join: it gets its stop signal and serves what it has, until it ends by itself or the
 * deadline comes. Only the kernel knows its connections, and nobody how those ended that ended with it.
 */

import { nowMs } from '../sys/clock.js'
import { connectionsOf } from '../sys/tcp-table.js'
import type { Account } from './account.js'
import type { Generation } from './generation.js'

export interface DrainProgramContext {
  readonly drainMs: number
  /** On which it has accepted. */
  readonly ports: ReadonlySet<number>
  isStopped(): boolean
}

/** Each look reads the kernel's whole table of sockets. */
const LOOK_EVERY_MS = 2_000

/** Resolves when it is gone, with all its processes. */
export async function drainProgram(
  predecessor: Generation,
  account: Account,
  { drainMs, ports, isStopped }: DrainProgramContext,
): Promise<void> {
  const begunMs = nowMs()
  const open = () => {
    try {
      return connectionsOf(predecessor.family(), ports)
    } catch {
      // No descriptor to look with, for example: it cannot be said.
      return undefined
    }
  }
  const signal = predecessor.release.stopSignal ?? 'SIGTERM'
  const atSignal = predecessor.alive ? open() : 0
  let last = atSignal
  predecessor.askToStop()
  // Should it be killed by others, the last look before its end is the nearest there is to what it still had.
  const look = () => {
    if (predecessor.alive) last = open()
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  await predecessor.stop(drainMs, look)
  clearInterval(timer)
  const { ending = 'is gone' } = predecessor
  const after = `after ${Math.round(nowMs() - begunMs)} ms`
  if (ending === `was killed by ${signal}`) {
    // It does not handle the signal: all that was open has been cut.
    drop(
      account,
      atSignal,
      `the predecessor does not handle ${signal}, which ended it at once: its connections were cut`,
    )
  } else if (/^was killed by/.test(ending)) {
    const why = isStopped() ? 'was stopped with the supervisor' : `${ending} ${after}`
    drop(account, last, `the predecessor ${why}: connections it still had were cut`)
    if (atSignal !== undefined && last !== undefined)
      account.drain(`served by the predecessor after ${signal}`, Math.max(0, atSignal - last))
  } else if (atSignal === undefined) {
    account.note(`the predecessor ${ending} ${after}; its connections could not be counted`)
  } else if (atSignal > 0) {
    account.note(
      `the predecessor had ${atSignal} connections when it got ${signal}, and ${ending} ${after}: how they ended it does not say`,
    )
  }
}

function drop(account: Account, count: number | undefined, reason: string): void {
  if (count === undefined) account.note(`${reason}; they could not be counted`)
  else account.drop(reason, count)
}
