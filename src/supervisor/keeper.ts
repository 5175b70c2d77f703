/** Keepers: processes that hold what a worker serves while nobody does. */
import { fileURLToPath } from 'node:url'
import { messageOf } from '../errors.js'
import { closeAll } from '../sys/channel.js'
import type { ReasonFields } from '../wire/fields.js'
import { connect } from './connect.js'
import { Facts } from './facts.js'
import type { Generation } from './generation.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import type { GenerationEvents } from './process-words.js'
import { whyNotReady } from './ready.js'
import type { Release } from './release.js'

/** How long one may take to start. */
const READY_MS = 10_000
/** To copy what is still served, and for what could not move at the freeze: whoever has moved waits meanwhile. */
const COPY_MS = 2_000
const FOLLOW_MS = 1_000
/** The barrier of a store. */
const STORE_MS = 15_000

/** How much longer a stop may take when sessions are kept. */
export const keepMs = ({ checkMs, freezeMs }: Pick<Settings, 'checkMs' | 'freezeMs'>): number =>
  READY_MS + checkMs * 4 + COPY_MS + freezeMs * 6 + FOLLOW_MS + EXIT_GRACE_MS * 2 + STORE_MS

/** What a keeper is started as: of the same user as what it keeps, or neither side could end the other. */
export function keeperRelease({ user }: Release): Release {
  const main = fileURLToPath(new URL('../keeper/main.js', import.meta.url))
  return { command: [process.execPath, main], cwd: '/', ...(user === undefined ? {} : { user }) }
}

export interface Parked {
  readonly sessions: number
  /** Why some are not among them. */
  readonly reasons: readonly ReasonFields[]
  /** The caller's. */
  readonly bags: readonly number[]
}

/**
 * Moves what a worker serves into a keeper; the runtime is gone then. Throws why it could not: the runtime serves on, or is
 * gone, and the keeper is.
 */
export async function park(serving: Generation, keeper: Generation, settings: Settings): Promise<Parked> {
  const facts = new Facts(serving, keeper)
  try {
    const why = await whyNotReady(keeper, facts, READY_MS)
    if (why !== undefined) throw new Error(why)
    const { checkMs, freezeMs } = settings
    const own = {
      ...settings,
      policy: 'best-effort',
      unsettled: 'freeze',
      copyMs: COPY_MS,
      drainMs: FOLLOW_MS,
    } as const
    connect(serving, keeper, own, checkMs, undefined)
    // A runtime that dies when the keeper has everything is no loss: the keeper says which of both it is.
    const isOver = () =>
      facts.active !== undefined ||
      !keeper.alive ||
      (serving.alive ? facts.abortedBy.predecessor : facts.abortedBy.successor) !== undefined
    await facts.until(checkMs * 2 + COPY_MS + freezeMs * 6, isOver)
    if (facts.active === undefined) {
      const { reasons } = facts.abortedBy.predecessor ?? facts.abortedBy.successor ?? {}
      throw new Error(reasons?.map(({ reason }) => reason).join('; ') ?? 'it did not end in time')
    }
    await facts.until(FOLLOW_MS + EXIT_GRACE_MS, () => facts.drained !== undefined || !serving.alive)
    await serving.stop(EXIT_GRACE_MS)
    // A batch may lie in its channel still, unread.
    await keeper.ask(checkMs, true)
    const reasons = [...(facts.committed?.reasons ?? []), ...(facts.drained?.reasons ?? [])]
    const { bags, sessions } = await packed(keeper, settings)
    return { bags, sessions, reasons }
  } catch (error) {
    await keeper.kill()
    throw error
  } finally {
    facts.close()
  }
}

/** All a keeper has, in bags, which are the caller's; the keeper still has it. */
export async function packed(keeper: Generation, { checkMs }: Settings): Promise<Pick<Parked, 'bags' | 'sessions'>> {
  const bags: number[] = []
  let sessions = 0
  const note = (said: GenerationEvents['packed'][0], bag: number) => {
    bags.push(bag)
    sessions += said.sessions
    return said.last
  }
  try {
    await hears(keeper, checkMs, (end) => {
      keeper.on('packed', (said, bag) => note(said, bag) && end())
      keeper.once('aborted', ({ reasons }) => end(reasons[0]?.reason ?? 'it failed'))
      keeper.send('pack', {})
    })
    return { bags, sessions }
  } catch (error) {
    closeAll(bags)
    throw error
  }
}

/** Fills a keeper from bags, which it takes over. Throws why it could not: it is gone then. */
export async function unpark(keeper: Generation, bags: readonly number[], { checkMs }: Settings) {
  let unpacked: GenerationEvents['unpacked'][0] | undefined
  try {
    await becomesReady(keeper)
    await hears(keeper, checkMs, (end) => {
      keeper.once('unpacked', (said) => {
        unpacked = said
        end()
      })
      for (const [index, bag] of bags.entries()) keeper.send('unpack', { last: index === bags.length - 1 }, [bag])
    })
    return unpacked as GenerationEvents['unpacked'][0]
  } catch (error) {
    await keeper.kill()
    throw error
  } finally {
    closeAll(bags)
  }
}

/** Resolves when it is ready, and holds what it is given. Throws that it is not. */
export async function becomesReady(keeper: Generation): Promise<void> {
  await hears(keeper, READY_MS, (end) => keeper.once('ready', () => end()))
}

/** Resolves when `listen` has called `end`; throws what it gave, that the keeper is gone, or that it took too long. */
async function hears(
  keeper: Generation,
  timeoutMs: number,
  listen: (end: (why?: string) => void) => void,
): Promise<void> {
  const failure = await new Promise<string | undefined>((resolve) => {
    const timer = setTimeout(() => end(`the keeper had not answered within ${timeoutMs} ms`), timeoutMs)
    const end = (why?: string) => {
      clearTimeout(timer)
      keeper.removeListener('exit', onExit)
      resolve(why)
    }
    const onExit = () => end(`the keeper ${keeper.ending}`)
    keeper.once('exit', onExit)
    listen(end)
  })
  if (failure !== undefined) throw new Error(failure)
}

/** How long a takeover from a keeper may last. */
export const takeoverMs = ({ checkMs, copyMs, freezeMs }: Settings): number => checkMs * 3 + copyMs + freezeMs * 6

/**
 * It is ready, and is to serve: what a keeper has, or, if there is none, nothing yet. It says `active` when it does, or ends.
 * @param isLast nobody else is to be tried should it not be able to read what is kept: that is given up then.
 */
export function activate(
  generation: Generation,
  keeper: Generation | undefined,
  settings: Settings,
  isLast: boolean,
): void {
  const { checkMs, logger } = settings
  if (keeper === undefined || !keeper.alive || !generation.joins) {
    generation.activate()
    return
  }
  const end = () => {
    keeper.removeListener('committed', onCommitted)
    generation.end()
  }
  const onCommitted = ({ moved, reasons = [] }: GenerationEvents['committed'][0]) =>
    logger[reasons.length === 0 ? 'info' : 'warn']({ sessions: moved, reasons }, 'what was kept goes on')
  const onAborted = ({ outcome, reasons }: GenerationEvents['aborted'][0]) => {
    logger.error({ outcome, reasons }, 'what was kept could not be taken over')
    // Whatever else it was, the next process may have it; what is of another version it could not read either.
    if (isLast && outcome === 'refused' && reasons.some(({ kind }) => kind !== undefined)) void keeper.kill()
    end()
  }
  const close = () => {
    keeper.removeListener('aborted', onAborted)
    keeper.removeListener('exit', end)
    generation.removeListener('active', close)
    generation.removeListener('exit', close)
  }
  keeper.once('aborted', onAborted)
  keeper.once('exit', end)
  generation.once('active', close)
  generation.once('exit', close)
  keeper.once('committed', onCommitted)
  try {
    connect(keeper, generation, { ...settings, policy: 'best-effort' }, checkMs, undefined)
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'what was kept could not be taken over')
    end()
  }
}
