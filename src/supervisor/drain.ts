/** After commit the predecessor serves what could not move until it ends, until its own deadline, or until all is stopped. */
import { nowMs } from '../sys/clock.js'
import type { Account } from './account.js'
import { drainProgram } from './drain-program.js'
import type { Facts } from './facts.js'
import type { Generation } from './generation.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'

export interface DrainContext {
  /** All that it had is counted as lost already. */
  readonly isLossNoted: boolean
  /** The predecessor has accepted on these. */
  readonly ports: ReadonlySet<number>
  isStopped(): boolean
  /** What has come to the successor of what had stayed behind, should the predecessor not say it. Default: it is asked. */
  followed?(): Promise<number>
}

/** Resolves when the predecessor is gone. */
export async function drain(
  predecessor: Generation,
  successor: Generation,
  facts: Facts,
  account: Account,
  { drainMs, checkMs }: Settings,
  { isLossNoted, ports, isStopped, followed }: DrainContext,
): Promise<void> {
  const begunMs = nowMs()
  if (!predecessor.joins) {
    if (isLossNoted) await predecessor.stop(EXIT_GRACE_MS)
    else await drainProgram(predecessor, account, { drainMs, ports, isStopped })
    account.spend('drain', begunMs)
    return
  }
  const before = predecessor.lastStatus
  let atFirst = before
  // Not waited for: it may be gone already, or stand still.
  void predecessor.ask(checkMs).then((status) => {
    atFirst = status ?? before
  })
  // A connection closed at the deadline still has a second to end politely, hence the margin.
  await facts.until(drainMs + EXIT_GRACE_MS, () => facts.drained !== undefined || !predecessor.alive)
  const ending = predecessor.ending ?? 'did not end its drain'
  await predecessor.stop(EXIT_GRACE_MS)
  if (facts.drained === undefined && !isLossNoted) {
    // Only it knew how many were left at its end; what it last said is the nearest.
    const left = predecessor.lastStatus?.unregistered
    account.drain(
      'not a session: ended before the predecessor did',
      left === undefined ? 0 : Math.max(0, (atFirst?.unregistered ?? 0) - left),
    )
    const why = isStopped() ? 'was stopped with the supervisor' : ending
    account.drop(`the predecessor ${why}: connections that were not sessions are gone`, left ?? 1)
    // A batch may lie in its channel still, unread.
    const ask = async () => (await successor.ask(checkMs, true))?.followed ?? 0
    await countFollowed(facts, account, followed ?? ask, why)
  }
  account.spend('drain', begunMs)
}

/** What had stayed behind is gone with the predecessor, but for what the successor says has come. */
async function countFollowed(
  { committed }: Facts,
  account: Account,
  ask: () => Promise<number>,
  why: string,
): Promise<void> {
  const left = committed?.left ?? 0
  if (left === 0) return
  const followed = await ask()
  account.follow(followed)
  account.drop(`the predecessor ${why}: sessions that had not followed are gone`, Math.max(0, left - followed))
}
