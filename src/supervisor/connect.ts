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
  const { checkMs, freezeMs, drainMs, policy, copyMs, unsettled } = settings
  const fields = { checkMs, freezeMs, drainMs, policy, copyMs, unsettled }
  withChannel((ours, theirs, token) => {
    if (group !== undefined) predecessor.send('group', { group: group.number }, group.ballot.descriptors)
    const own = group === undefined ? {} : { group: group.number }
    const ends = [theirs, predecessor.pidfd, token]
    successor.send('transfer', { side: 'successor', ...fields, checkMs: patienceMs }, ends)
    predecessor.send('transfer', { side: 'predecessor', ...fields, ...own }, [ours, successor.pidfd, token])
  })
}

/** The same for what a runtime gives into escrow. */
export function connectEscrow(runtime: Generation, keeper: Generation, settings: Settings): void {
  const { checkMs, freezeMs, drainMs, escrowMs } = settings
  const fields = { checkMs, freezeMs, drainMs, escrowMs }
  withChannel((ours, theirs, token) => {
    keeper.send('transfer', { side: 'successor', ...fields }, [theirs, runtime.pidfd, token])
    runtime.send('transfer', { side: 'predecessor', ...fields }, [ours, keeper.pidfd, token])
  })
}

/** @param connect gets the ends of a new channel, and the token. They are closed here when it has returned. */
function withChannel(connect: (ours: number, theirs: number, token: number) => void): void {
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
    connect(ours, theirs, token)
  } finally {
    closeAll(made)
  }
}
