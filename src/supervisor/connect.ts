/** Brings the two sides of a transfer together. */
import type { Ballot } from '../sys/ballot.js'
import { binding } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'
import type { Generation } from './generation.js'
import type { Settings } from './options.js'

/**
 * Gives both sides an end of a new channel, the other's pidfd, and the token only one of them can have.
 * @param patienceMs how long the successor waits for a word.
 * @param group those it commits with. Throws what this process lacks: descriptors.
 */
export function connect(
  predecessor: Generation,
  successor: Generation,
  settings: Settings,
  patienceMs: number,
  group: { readonly number: number; readonly ballot: Ballot } | undefined,
): void {
  const made: number[] = []
  const pair = () => {
    const ends = binding().socketpair()
    made.push(...ends)
    return ends
  }
  try {
    const [ours, theirs] = pair()
    const [token, source] = pair()
    binding().send(source, Buffer.of(1), [])
    const { checkMs, freezeMs, drainMs, policy, copyMs, unsettled } = settings
    const fields = { checkMs, freezeMs, drainMs, policy, copyMs, unsettled }
    if (group !== undefined) predecessor.send('group', { group: group.number }, group.ballot.descriptors)
    const own = group === undefined ? {} : { group: group.number }
    const ends = [theirs, predecessor.pidfd, token]
    successor.send('transfer', { side: 'successor', ...fields, checkMs: patienceMs }, ends)
    predecessor.send('transfer', { side: 'predecessor', ...fields, ...own }, [ours, successor.pidfd, token])
  } finally {
    closeAll(made)
  }
}
