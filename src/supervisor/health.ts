/** Whether those that serve are well: asked at a URL, or of the embedding program. */
import { HandoverError, messageOf } from '../errors.js'
import { answers } from './probe.js'
import { parseTarget } from './readiness.js'

/** One process that is asked about. */
export interface ServingProcess {
  readonly generation: number
  readonly pid: number | null
  readonly worker: number
}

/**
 * `http://HOST:PORT/PATH`: answered with a status of 200 to 399. `tcp://HOST:PORT`: accepted. A function: well unless it returns
 * false, throws, or does not answer in 5 s; called for each process.
 */
export type HealthCheck = string | ((process: ServingProcess) => unknown)

const WITHIN_MS = 5_000
/** Connections at once for each process: the kernel gives each to one of them, not in turn. */
const AT_ONCE = 2

/** @throws HandoverError HANDOVER_USAGE */
export function checkHealth(check: HealthCheck): void {
  if (typeof check !== 'function') targetOf(check)
}

/** Undefined when all are well; else what is wrong, in words. */
export async function illness(check: HealthCheck, processes: readonly ServingProcess[]): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${WITHIN_MS / 1000} s`), WITHIN_MS)
  })
  const look = async () => {
    const found =
      typeof check === 'function'
        ? await Promise.all(processes.map((process) => ask(check, process)))
        : await answers(targetOf(check), AT_ONCE * processes.length)
    return found.find((each) => each !== undefined)
  }
  try {
    // No descriptor to look with is no illness of theirs; three times in a row it is told.
    return await Promise.race([late, look().catch(messageOf)])
  } finally {
    clearTimeout(timer)
  }
}

async function ask(check: (process: ServingProcess) => unknown, process: ServingProcess): Promise<string | undefined> {
  try {
    return (await check(process)) === false ? `the check of pid ${process.pid} says so` : undefined
  } catch (error) {
    return messageOf(error)
  }
}

function targetOf(url: string) {
  const target = parseTarget(url)
  if (target !== undefined) return target
  throw new HandoverError(
    'HANDOVER_USAGE',
    `--health ${JSON.stringify(url)} must be tcp://HOST:PORT or http://HOST:PORT/PATH`,
  )
}
