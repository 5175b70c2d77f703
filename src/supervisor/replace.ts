/**
 * An upgrade in which one side does not join: nothing can be moved but the listeners, which both have. What the predecessor
 * serves stays with it until it ends. The successor is ready by now, and may have accepted already.
 */
import { nowMs } from '../sys/clock.js'
import type { Account } from './account.js'
import type { Facts } from './facts.js'
import type { Generation } from './generation.js'
import type { Settings } from './options.js'

export interface Replacement {
  readonly predecessor: Generation
  readonly successor: Generation
  readonly facts: Facts
  readonly account: Account
  readonly settings: Settings
}

/** Returns what went wrong; undefined when the successor serves, or the predecessor has refused. */
export async function replace(replacement: Replacement): Promise<string | undefined> {
  const { predecessor, successor, facts, account, settings } = replacement
  if (predecessor.joins) {
    if (!predecessor.canRetire) {
      account.refuse([
        'the successor does not join, and the predecessor runs a version of handover that cannot go without a successor that does',
      ])
      return undefined
    }
    const failure = await retire(replacement)
    if (failure !== undefined || facts.abortedBy.predecessor !== undefined) return failure
  }
  successor.activate()
  await facts.until(settings.checkMs, () => facts.active !== undefined || !successor.alive)
  if (facts.active !== undefined) {
    if (!predecessor.joins) account.note('the predecessor does not join: its connections stay with it until they end')
    return undefined
  }
  return `the successor ${successor.ending ?? `did not serve within ${settings.checkMs} ms`}`
}

/** The predecessor gives up accepting, or refuses since it has sessions. Its word decides. */
async function retire({ predecessor, successor, facts, settings }: Replacement): Promise<string | undefined> {
  const { checkMs, drainMs, policy } = settings
  facts.abortedBy = {}
  const isAnswered = () =>
    facts.committed !== undefined || facts.abortedBy.predecessor !== undefined || !predecessor.alive
  // Read later it does nothing: by then this has failed, and the predecessor is who serves.
  predecessor.send('retire', { drainMs, policy, untilMs: nowMs() + checkMs })
  await facts.until(checkMs * 2, () => isAnswered() || !successor.alive)
  if (isAnswered()) return undefined
  if (successor.alive) return `the predecessor did not answer within ${checkMs * 2} ms`
  // It may have gone already, and its answer be on the way.
  await facts.until(checkMs, isAnswered)
  return facts.committed === undefined ? `the successor ${successor.ending}` : undefined
}
