/** One of the processes that serve side by side: who serves as it now, and that somebody does so again after a crash. */
import type { HandoverError } from '../errors.js'
import type { Logger } from '../logger.js'
import type { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import type { Settings } from './options.js'
import type { Target } from './release.js'
import { Starts } from './starts.js'
import type { Candidate } from './upgrade.js'

export interface WorkerContext {
  readonly index: number
  readonly settings: Settings
  readonly listeners: Listeners
  /** It is said in the logs which worker it is. */
  isOneOfMany(): boolean
  spawn(number: number | undefined): Generation
  /** Its end is judged when the upgrade is decided that it is the predecessor of. */
  isJudgedLater(generation: Generation): boolean
  /** Its upgrade will be undone: the release before has not crashed. */
  isOnTrial(generation: Generation): boolean
  onServing(generation: Generation): void
  onCrashed(crash: { generation: number; reason: string; delayMs: number }): void
  onGaveUp(error: HandoverError): void
}

/** Who is to be replaced by the release before must not be the one crash too many. */
const ONE_MORE = 2

export class Worker {
  readonly index: number
  readonly starts: Starts
  /** What it runs, when it has gone before the others; undefined when it is what all run. */
  target: Target | undefined
  readonly #context: WorkerContext
  readonly #logger: Logger
  #serving: Generation | undefined
  #latest: Generation | undefined
  #hasGivenUp = false

  constructor(context: WorkerContext) {
    const { index, settings, listeners, isOneOfMany, spawn, onCrashed, onGaveUp } = context
    this.index = index
    this.#context = context
    this.#logger = labelled(settings.logger, (fields) => (isOneOfMany() ? { worker: index, ...fields } : fields))
    this.starts = new Starts({
      settings: { ...settings, logger: this.#logger },
      listeners,
      spawn: (number) => {
        this.#latest = spawn(number)
        return this.#latest
      },
      onServes: (generation) => this.serves(generation),
      onCrashed,
      onGaveUp: (error) => {
        this.#hasGivenUp = true
        onGaveUp(error)
      },
    })
  }

  get serving(): Generation | undefined {
    return this.#serving
  }

  /** Who serves, or served or was to serve last. */
  get latest(): Generation | undefined {
    return this.#latest
  }

  /** It crashed too often, and is not started again. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp
  }

  /** False when it serves, and does not answer in time. */
  async answers(withinMs: number): Promise<boolean> {
    const serving = this.#serving
    if (serving?.joins !== true || (await serving.ask(withinMs)) !== undefined) return true
    // It has ended, or serves no more, since it was asked.
    return !serving.alive || serving.state !== 'serving'
  }

  serves(generation: Generation): void {
    void this.starts.releaseKeeper()
    this.#serving = generation
    this.#latest = generation
    this.#hasGivenUp = false
    const { pid, release, node } = generation.side
    this.#logger.info({ generation: generation.number, pid, release, node }, 'serving')
    const onExit = () => {
      if (generation === this.#serving && !this.#context.isJudgedLater(generation)) this.crashed(generation)
    }
    this.#context.onServing(generation)
    if (generation.alive) generation.once('exit', onExit)
    else onExit()
  }

  crashed(generation: Generation): void {
    this.#serving = undefined
    this.#latest = generation
    if (this.#context.isOnTrial(generation)) this.starts.forgive(ONE_MORE)
    this.starts.again(generation.number, generation.ending ?? 'is gone')
  }
}

/** As an upgrade finds it. */
export function candidateOf(index: number, worker: Worker | undefined, hasMadeRoom: boolean): Candidate {
  if (worker === undefined)
    return { worker: index, predecessor: undefined, nobodyServes: 'there was no such worker', keeper: undefined }
  const { serving, latest } = worker
  const predecessor = serving ?? (latest as Generation)
  const why = `generation ${predecessor.number} ${hasMadeRoom ? 'was only starting' : predecessor.ending}`
  const { keeper } = worker.starts
  return { worker: index, predecessor, nobodyServes: serving === undefined ? why : undefined, keeper }
}

function labelled(logger: Logger, label: (fields: object) => object): Logger {
  return {
    debug: (fields, message) => logger.debug(label(fields), message),
    info: (fields, message) => logger.info(label(fields), message),
    warn: (fields, message) => logger.warn(label(fields), message),
    error: (fields, message) => logger.error(label(fields), message),
  }
}
