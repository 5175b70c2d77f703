/** The start of a generation that has nobody to take over from. */
import { once } from 'node:events'
import type { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import type { Settings } from './options.js'

/** Resolves with true when it serves, with false when it is gone and never did; its listeners are closed then. */
export async function startFirst(
  generation: Generation,
  listeners: Listeners,
  { readyTimeoutMs, logger }: Settings,
): Promise<boolean> {
  const timer = setTimeout(() => {
    logger.error(
      { generation: generation.number, readyTimeoutMs },
      'the runtime was not ready in time: it must call join() and await ready()',
    )
    generation.signal('SIGKILL')
  }, readyTimeoutMs)
  generation.once('ready', () => generation.send('activate', {}))
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
