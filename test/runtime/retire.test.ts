/** A runtime that nobody takes over from: what it refuses, and what it says it has. */
import type { Socket } from 'node:net'
import t from 'tap'
import { allOf, sessionsThatStay, stayOf, whyNotRetire } from '../../src/runtime/retire.js'
import type { Sessions } from '../../src/runtime/sessions.js'
import { nowMs } from '../../src/sys/clock.js'

const socket = (name: string): Socket => ({ name }) as unknown as Socket
const [one, two, accepted] = [socket('one'), socket('two'), socket('accepted')] as [Socket, Socket, Socket]
const kind = (name: string, version: number, sockets: Socket[]) => ({
  name,
  definition: { version },
  size: sockets.length,
  entries: new Map(sockets.map((each) => [each, {}])),
})
const registry = (...kinds: ReturnType<typeof kind>[]): Sessions =>
  ({
    kinds: new Map(kinds.map((each) => [each.name, each])),
    kindOf: (of: Socket) => kinds.find(({ entries }) => entries.has(of)),
  }) as unknown as Sessions
const some = registry(kind('chat', 3, [one, two]), kind('none', 1, []))
const none = registry(kind('chat', 3, []))
const fields = (policy: 'all-or-nothing' | 'best-effort', inMs = 10_000) =>
  ({ drainMs: 1, policy, untilMs: nowMs() + inMs }) as const

t.test('with sessions it goes under best-effort only', async (t) => {
  const reason = 'the successor does not join: a session cannot move into it'
  const reasons = [{ reason, count: 2, kind: 'chat', version: 3 }]
  t.strictSame(whyNotRetire(fields('all-or-nothing'), some, true), { outcome: 'refused', reasons })
  t.equal(whyNotRetire(fields('best-effort'), some, true), undefined)
  t.equal(whyNotRetire(fields('all-or-nothing'), none, true), undefined)
  t.strictSame(sessionsThatStay(some), reasons)
  t.strictSame(stayOf(one, some), { reason, kind: 'chat', version: 3 })
  t.equal(stayOf(accepted, some), undefined)
})

t.test('asked too late, or when it does not serve, it serves on: the supervisor has given it up', async (t) => {
  t.match(whyNotRetire(fields('best-effort', -1), none, true), { outcome: 'failed', reasons: [{ reason: /too late/ }] })
  t.match(whyNotRetire(fields('best-effort'), none, false), {
    outcome: 'failed',
    reasons: [{ reason: /does not serve/ }],
  })
})

t.test('sessions it never accepted are served to their end, too', async (t) => {
  t.strictSame([...allOf(new Set([accepted, one]), some)], [accepted, one, two])
})
