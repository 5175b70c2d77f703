/** A successor's start: it is waited for until it is ready, and it may ask for more time (EXTEND_TIMEOUT_USEC). */
import { nowMs } from '../sys/clock.js'
import type { Facts } from './facts.js'
import type { Generation } from './generation.js'

export const HOW_TO_BE_READY =
  'it must call join() and await ready(), or say READY=1 on NOTIFY_SOCKET; for a program that does neither there is --ready'

/** Why it is not ready; undefined when it is. */
export async function whyNotReady(
  successor: Generation,
  facts: Facts,
  readyTimeoutMs: number,
): Promise<string | undefined> {
  const begunMs = nowMs()
  const deadlineMs = () => Math.max(begunMs + readyTimeoutMs, successor.extendedUntilMs)
  const isOver = () => facts.ready || !successor.alive
  do await facts.until(deadlineMs() - nowMs(), isOver)
  while (!isOver() && nowMs() < deadlineMs())
  const said = successor.saying === undefined ? '' : `; it last said: ${successor.saying}`
  if (!successor.alive) return `the successor ${successor.ending} before it was ready${said}${inBackground(successor)}`
  if (facts.ready) return undefined
  return `the successor was not ready within ${Math.round(deadlineMs() - begunMs)} ms: ${HOW_TO_BE_READY}${said}`
}

function inBackground({ joins, ending }: Generation): string {
  return joins || ending !== 'exited with code 0' ? '' : '; a program must stay in the foreground'
}
