/**
 * One upgrade: the successor's start, the transaction, and from there the drain of its predecessor, while the next upgrade
 * may begin. Never throws: it ends with a result.
 */
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'
import { nowMs } from '../sys/clock.js'
import { Account, type Decision } from './account.js'
import { memoryShortages } from './budget.js'
import { drain } from './drain.js'
import { Facts } from './facts.js'
import type { Generation } from './generation.js'
import type { Listeners } from './listeners.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import { whyNotReady } from './ready.js'
import { replace } from './replace.js'
import type { Serves, UpgradeResult } from './result.js'

/** SIGTERM does not wait longer than this for a runtime to say how many it still serves. */
/** How often it is asked whether sessions still follow. */
const FOLLOWING_EVERY_MS = 20
const LAST_ASK_MS = 250

export type UpgradePhase = 'spawn' | 'transfer' | 'drain'

export interface UpgradeContext {
  readonly id: number
  /** Who serves, or, when nobody does, who did or was to do so last. */
  readonly predecessor: Generation
  readonly successor: Generation
  /** Why nobody serves: the successor is then started as first generation. */
  readonly nobodyServes: string | undefined
  readonly listeners: Listeners
  readonly settings: Settings
  /** All generations there are now. */
  generations(): Iterable<Generation>
  onPhase(phase: UpgradePhase): void
  /** Called once, at the instant it is known who serves from now on. */
  onDecided(serves: Serves): void
  /** Resolves when it is known whether all that this generation served has been handed over. */
  isKnown(generation: Generation): Promise<void>
}

export class Upgrade {
  readonly id: number
  readonly predecessor: Generation
  readonly successor: Generation
  readonly #context: UpgradeContext
  readonly #facts: Facts
  readonly #account = new Account()
  readonly #decided: Promise<void>
  #resolveDecided: () => void = () => undefined
  #ended: Promise<UpgradeResult> | undefined
  #phase: UpgradePhase = 'spawn'
  #isDecided = false
  /** Who is lost from here on is lost to the stop. */
  #isStopped = false
  #aliveAtStop = false
  #isLossNoted = false

  constructor(context: UpgradeContext) {
    this.#context = context
    this.id = context.id
    this.predecessor = context.predecessor
    this.successor = context.successor
    this.#facts = new Facts(context.predecessor, context.successor)
    this.#decided = new Promise((resolve) => {
      this.#resolveDecided = resolve
    })
  }

  get phase(): UpgradePhase {
    return this.#phase
  }

  /** From here on the next one may begin. */
  get isDecided(): boolean {
    return this.#isDecided
  }

  get decided(): Promise<void> {
    return this.#decided
  }

  run(): Promise<UpgradeResult> {
    this.#ended ??= this.#run()
    return this.#ended
  }

  async #run(): Promise<UpgradeResult> {
    const { nobodyServes } = this.#context
    this.#enter('spawn')
    if (nobodyServes === undefined) void this.#askBefore()
    else this.#account.note(`nobody served: ${nobodyServes}`)
    const decision = await this.#untilDecided()
    if (this.#phase === 'drain') await this.#drain()
    this.#facts.close()
    return this.#account.result(this.id, this.#facts, decision)
  }

  /** Before it is decided: gives it up. Afterwards: ends the drain, SIGTERM and after `graceMs` SIGKILL. Resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    if (this.#isDecided) this.#noteSuccessor()
    this.#aliveAtStop = this.predecessor.alive
    this.#isStopped = true
    if (!this.#isDecided) await this.successor.kill()
    else {
      // Only it knows how many it still serves, and SIGTERM may be the end of it.
      await this.predecessor.ask(LAST_ASK_MS)
      await this.predecessor.stop(graceMs)
    }
    await this.#ended
  }

  #enter(phase: UpgradePhase): void {
    this.#phase = phase
    this.#context.onPhase(phase)
  }

  async #untilDecided(): Promise<Decision> {
    const { nobodyServes, listeners, settings, onDecided } = this.#context
    const { predecessor, successor } = this
    const from = predecessor.side
    if ((await this.#becomesReady()) && (await this.#hasRoom())) {
      if (nobodyServes === undefined) await this.#transfer()
      else await this.#activate()
    }
    const to = successor.side
    const { active } = this.#facts
    if (active !== undefined) listeners.commit(successor.number, active.listeners)
    else {
      await this.#end()
      if (this.#isStopped) this.#account.fail('the supervisor was stopped before the upgrade was committed')
      listeners.abort(successor.number)
      if (!predecessor.alive && this.#facts.committed === undefined) this.#noteLost('before the transfer was complete')
    }
    const hasHandedOver = this.#facts.committed !== undefined || (active !== undefined && !this.#isLossNoted)
    if (nobodyServes === undefined && hasHandedOver) {
      predecessor.hasHandedOver = true
      predecessor.drains(nowMs() + settings.drainMs)
    }
    // Handed over, and its taker gone: the predecessor has nothing left to serve with.
    const stays = predecessor.alive && !hasHandedOver
    const serves = active !== undefined ? 'successor' : stays ? 'predecessor' : 'nobody'
    const decision = { serves, from, to, listeners: listeners.list(), draining: this.#others() } as const
    this.#isDecided = true
    if (nobodyServes === undefined && (active !== undefined || hasHandedOver)) this.#enter('drain')
    onDecided(serves)
    this.#resolveDecided()
    return decision
  }

  async #becomesReady(): Promise<boolean> {
    const { readyTimeoutMs } = this.#context.settings
    const begunMs = nowMs()
    const reason = await whyNotReady(this.successor, this.#facts, readyTimeoutMs)
    this.#account.spend('spawn', begunMs)
    if (reason !== undefined) this.#fail(reason)
    return reason === undefined
  }

  /** The memory for both is there, or nothing can be said of it. */
  async #hasRoom(): Promise<boolean> {
    const { settings, nobodyServes, generations } = this.#context
    const { predecessor, successor } = this
    const [before, after] = [predecessor.side.pid, successor.side.pid]
    if (nobodyServes !== undefined || !predecessor.alive || before === null || after === null) return true
    const others = [...generations()].filter((each) => each !== predecessor && each !== successor && each.alive)
    const pids = others.flatMap(({ side: { pid } }) => (pid === null ? [] : [pid]))
    const short = await memoryShortages(before, after, pids, settings.memoryLimitBytes)
    if (short === undefined && predecessor.alive && successor.alive)
      settings.logger.warn({ upgrade: this.id }, 'the memory of the runtimes could not be measured')
    if (short === undefined || short.length === 0) return true
    this.#account.refuse(short)
    return false
  }

  async #transfer(): Promise<void> {
    const { settings } = this.#context
    const { predecessor, successor } = this
    const facts = this.#facts
    this.#enter('transfer')
    await this.#askBefore()
    if (!predecessor.alive) {
      this.#noteLost('before the transfer')
      await this.#activate()
      return
    }
    if (!successor.alive) {
      // Nothing was begun, so that no word of an end would come from anyone.
      this.#fail(`the successor ${successor.ending} before the transfer`)
      return
    }
    if (!predecessor.joins || !successor.joins) {
      const failure = await replace({ predecessor, successor, facts, account: this.#account, settings })
      if (failure !== undefined) this.#fail(failure)
      if (!predecessor.alive && facts.committed === undefined) this.#noteLost('before it was replaced')
      return
    }
    await this.#untilFollowed()
    // Of a transfer before this one that was not waited for to the end.
    facts.abortedBy = {}
    try {
      this.#connect()
    } catch (error) {
      this.#fail(`the transfer could not begin: ${messageOf(error)}`)
      return
    }
    // The predecessor's word is the end. Without a predecessor the successor's is: it has it all, or gives up.
    const ended = () =>
      facts.active !== undefined ||
      (predecessor.alive ? facts.abortedBy.predecessor !== undefined : facts.abortedBy.successor !== undefined) ||
      (!successor.alive && (facts.committed !== undefined || !predecessor.alive))
    // Every wait of the transaction is bounded by these; past their sum something has come to a stop for good.
    const limitMs = settings.checkMs * 2 + settings.copyMs + settings.freezeMs * 6
    if (!(await facts.until(limitMs, ended))) {
      this.#fail(`the transfer did not end within ${limitMs} ms`)
      await successor.kill()
      await facts.until(settings.freezeMs, () => facts.abortedBy.predecessor !== undefined || !predecessor.alive)
    }
    if (facts.active !== undefined || facts.committed !== undefined) return
    if (!predecessor.alive) this.#noteLost('before the transfer was complete')
    if (!successor.alive) this.#fail(`the successor ${successor.ending}`)
  }

  /** What still follows into the predecessor from the one before it comes first: it would be left behind with that one. */
  async #untilFollowed(): Promise<void> {
    const { settings, generations } = this.#context
    const untilMs = nowMs() + settings.drainMs
    const isFollowing = async () => {
      const draining = [...generations()].filter((each) => each.state === 'draining' && each !== this.predecessor)
      const said = await Promise.all(draining.map((each) => each.ask(settings.checkMs)))
      return said.some((status) => status?.following === true)
    }
    while (nowMs() < untilMs && this.predecessor.alive && this.successor.alive && (await isFollowing()))
      await new Promise((resolve) => setTimeout(resolve, FOLLOWING_EVERY_MS))
  }

  /** There is nobody to take over from. */
  async #activate(): Promise<void> {
    const { checkMs } = this.#context.settings
    const { successor } = this
    successor.activate()
    await this.#facts.until(checkMs, () => this.#facts.active !== undefined || !successor.alive)
    if (this.#facts.active !== undefined) return
    const ending = successor.ending ?? `did not serve within ${checkMs} ms`
    this.#fail(`the successor ${ending}, with nobody to take over from`)
  }

  /** Gives both sides an end of a new channel, the other's pidfd, and the token only one of them can have. */
  #connect(): void {
    const { predecessor, successor } = this
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
      const { checkMs, freezeMs, drainMs, policy, copyMs, unsettled } = this.#context.settings
      const fields = { checkMs, freezeMs, drainMs, policy, copyMs, unsettled }
      successor.send('transfer', { side: 'successor', ...fields }, [theirs, predecessor.pidfd, token])
      predecessor.send('transfer', { side: 'predecessor', ...fields }, [ours, successor.pidfd, token])
    } finally {
      closeAll(made)
    }
  }

  /** What it died of is said in every case: its end may be known to the kernel, or to the predecessor, before it is here. */
  async #end(): Promise<void> {
    const { successor } = this
    if (!successor.alive) return
    const hadExited = successor.hasExited
    // A program that was not ready may have accepted all the same: it may end what it has begun.
    if (successor.joins) await successor.kill()
    else await successor.stop(EXIT_GRACE_MS)
    const endedByItself = hadExited || !successor.ending?.includes('SIGKILL')
    if (endedByItself && this.#facts.abortedBy.predecessor?.outcome === 'failed')
      this.#fail(`the successor ${successor.ending}`)
  }

  async #drain(): Promise<void> {
    const { predecessor, successor } = this
    const { settings, isKnown } = this.#context
    await drain(predecessor, successor, this.#facts, this.#account, settings, {
      isLossNoted: this.#isLossNoted,
      ports: this.#context.listeners.ports(),
      isStopped: () => this.#isStopped,
    })
    // It may have handed over in its turn, and died of it: that is known once that upgrade is decided.
    if (!successor.alive) await isKnown(successor)
    this.#noteSuccessor()
  }

  #noteSuccessor(): void {
    const { successor } = this
    if (successor.alive || successor.hasHandedOver || this.#isStopped) return
    const reason = `the successor ${successor.ending} after commit`
    if (successor.joins) this.#account.drop(reason, this.#account.moved(this.#facts))
    else this.#account.note(reason)
  }

  /** What it has before it gives it away, for what is lost should it die. */
  async #askBefore(): Promise<void> {
    await this.predecessor.ask(this.#context.settings.checkMs)
  }

  /** All that the predecessor had is gone with it. */
  #noteLost(when: string): void {
    if (this.#isLossNoted || this.#aliveAtStop || this.#context.nobodyServes !== undefined) return
    this.#isLossNoted = true
    const { lastStatus, ending, joins } = this.predecessor
    if (!joins) {
      this.#account.note(`the predecessor ${ending} ${when}; its connections went with it, and could not be counted`)
      return
    }
    const sessions = lastStatus?.sessions.reduce((sum, kind) => sum + kind.count, 0) ?? 0
    this.#account.drop(
      `the predecessor ${ending} ${when}`,
      lastStatus === undefined ? 1 : lastStatus.unregistered + sessions,
    )
  }

  #others(): { generation: number; leftMs: number }[] {
    return [...this.#context.generations()].flatMap((each) =>
      each === this.predecessor || each.drainLeftMs === null
        ? []
        : [{ generation: each.number, leftMs: each.drainLeftMs }],
    )
  }

  #fail(reason: string): void {
    if (!this.#isStopped) this.#account.fail(reason)
  }
}
