/** Many oracle clients of the mode server, each with a manner of its own, until all have sent their share. */
import { setTimeout as wait } from 'node:timers/promises'
import { MODES } from '../fixtures/mode-session.js'
import { Oracle } from '../harness/oracle.js'
import { Random } from './random.js'

/** Sent without an answer, at most: what is on its way in both directions when an upgrade comes. */
const WINDOW_BYTES = 256 * 1024
const MOST_AT_ONCE = 60 * 1024
const OPENING_AT_ONCE = 100

/**
 * - talks · sleeps: does not read for a while, so that the server's send buffer fills
 * - halves: its first line stays cut for a while · closes: ends its side after some bytes, and is still owed the rest
 */
const MANNERS = ['talks', 'talks', 'talks', 'sleeps', 'halves', 'closes'] as const

export interface Crowd {
  /** Resolves when every byte of both directions was right and there; rejects at the first that was not. */
  readonly finished: Promise<void>
  /** Bytes so far. */
  up(): number
  down(): number
}

/** @param enough true once they may end, which they do when each has sent its bytes, too. */
export async function gather(
  port: number,
  count: number,
  bytesEach: number,
  random: Random,
  enough: () => boolean,
): Promise<Crowd> {
  const clients: Oracle[] = []
  const talks: (() => Promise<void>)[] = []
  while (clients.length < count) {
    const opening = Array.from({ length: Math.min(OPENING_AT_ONCE, count - clients.length) }, async (_, index) => {
      const own = new Random(random.below(2 ** 32))
      const manner = own.of(MANNERS)
      const push = manner === 'closes' ? bytesEach : own.below(bytesEach)
      const seed = clients.length + index + 1
      const header = manner === 'halves' ? { headerBytes: own.below(9) } : {}
      const client = await Oracle.open({
        port,
        seed,
        push,
        mode: own.of(MODES),
        paused: manner === 'sleeps',
        ...header,
      })
      talks.push(() => talk(client, manner, bytesEach, enough, own))
      return client
    })
    clients.push(...(await Promise.all(opening)))
  }
  const finished = Promise.all(talks.map((each) => each())).then(() => undefined)
  finished.catch(() => undefined)
  return {
    finished,
    up: () => clients.reduce((sum, { sent }) => sum + sent, 0),
    down: () => clients.reduce((sum, { received }) => sum + received, 0),
  }
}

async function talk(
  client: Oracle,
  manner: (typeof MANNERS)[number],
  bytes: number,
  enough: () => boolean,
  random: Random,
): Promise<void> {
  if (manner === 'halves') {
    await wait(random.below(2_000))
    client.completeHeader()
  }
  while (client.sent < bytes || !enough()) {
    // What it had to send is sent: from here on it only keeps the connection busy.
    const isIdle = client.sent >= bytes
    if (isIdle) await wait(50 + random.below(200))
    client.send(1 + random.below(isIdle ? 2_000 : MOST_AT_ONCE))
    if (manner === 'sleeps' && random.below(4) === 0) {
      client.pause()
      await wait(random.below(1_500))
    }
    client.resume()
    if (manner === 'closes') break
    await client.reach(client.expected - WINDOW_BYTES)
  }
  await client.finish()
}
