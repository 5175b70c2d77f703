/** Between the vote of its own successor and the commit of all: a frozen predecessor waits for what its group decides. */
import type { Verdict } from '../sys/ballot.js'
import { binding, POLLIN } from '../sys/binding.js'
import { nowMs } from '../sys/clock.js'
import type { Link } from '../sys/link.js'
import type { TRANSFER } from '../wire/messages.js'
import type { Group } from './types.js'

export interface Agreement {
  readonly verdict: Verdict
  /** What this side could not wait with: with 'abort', why it cast against the rest. */
  readonly lost?: { readonly kind: 'eof' | 'silence' | 'invalid'; readonly reason: string }
}

/** Blocks the thread. Who cannot wait any longer casts against it: then it is decided, one way or the other, for everybody. */
export function agree(link: Link<typeof TRANSFER>, group: Group, deadlineMs: number): Agreement {
  const { ballot } = group
  group.voted()
  for (;;) {
    link.waitBefore(deadlineMs, ballot.bell)
    const verdict = ballot.verdict
    if (verdict !== undefined) return { verdict }
    const lost = lossOf(link, group, deadlineMs)
    if (lost !== undefined) return { verdict: ballot.cast('abort'), lost }
  }
}

function lossOf(link: Link<typeof TRANSFER>, { ballot }: Group, deadlineMs: number): Agreement['lost'] {
  const message = link.receiveBefore(nowMs())
  if ('fields' in message) {
    for (const fd of message.descriptors) binding().close(fd)
    return { kind: 'invalid', reason: `the successor sent "${message.kind}" after its vote` }
  }
  if (message.kind !== 'silence') return message
  // Looked at in this order: it is rung after the decision, and by the end of who would have made it.
  const hasRung = binding().poll([ballot.bell], [POLLIN], 0)[0] !== 0
  if (hasRung && ballot.verdict === undefined)
    return { kind: 'silence', reason: 'the supervisor ended before all workers had voted' }
  return nowMs() < deadlineMs ? undefined : { kind: 'silence', reason: 'not all workers had voted in time' }
}
