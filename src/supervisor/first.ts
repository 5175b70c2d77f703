/** The start of a generation that has nobody to take over from. */
import { once } from 'node:events'
import { nowMs } from '../sys/clock.js'
import type { Generation } from './generation.js'
import { activate, takeoverMs } from './keeper.js'
import type { Listeners } from './listeners.js'
import type { Settings } from './options.js'
import { HOW_TO_BE_READY } from './ready.js'

/**
 * Resolves with true when it serves, with false when it is gone and never did; its listeners are closed then.
 * @param keeper has what it is to serve.
 */
export async function startFirst(
  generation: Generation,
  listeners: Listeners,
  settings: Settings,
  keeper: Generation | undefined,
): Promise<boolean> {
  const { readyTimeoutMs, logger } = settings
  let untilMs = nowMs() + readyTimeoutMs
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    const leftMs = Math.max(untilMs, generation.extendedUntilMs) - nowMs()
    if (leftMs > 0) {
      timer = setTimeout(look, leftMs)
      return
    }
    logger.error(
      { generation: generation.number, readyTimeoutMs, said: generation.saying },
      `the runtime was not ready in time: ${HOW_TO_BE_READY}`,
    )
    generation.end()
  }
  look()
  generation.once('ready', () => {
    if (keeper?.alive) untilMs = Math.max(untilMs, nowMs() + takeoverMs(settings))
    activate(generation, keeper, settings, true)
  })
  let serves = false
  const active = new Promise<void>((resolve) => {
    generation.once('active', (said) => {
      serves = true
      listeners.commit(generation.start, said.listeners, generation.worker)
      resolve()
    })
  })
  await Promise.race([active, once(generation, 'exit')])
  clearTimeout(timer)
  if (!serves) listeners.abort(generation.start)
  return serves
}
