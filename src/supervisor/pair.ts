/**
 * One worker's part of an upgrade: its predecessor, its successor, the transfer between them, and the drain. Alone it goes
 * its way to the end; of several, which commit together, each waits twice: before it freezes, and before it commits.
 */
import { messageOf } from '../errors.js'
import type { Ballot, Verdict } from '../sys/ballot.js'
import { nowMs } from '../sys/clock.js'
import { Account, type Decision, isOverruled, type PairResult } from './account.js'
import { connect } from './connect.js'
import { drain } from './drain.js'
import { Facts } from './facts.js'
import type { Generation } from './generation.js'
import { activate, takeoverMs } from './keeper.js'
import type { Listeners } from './listeners.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import { whyNotReady } from './ready.js'
import { replace } from './replace.js'

/** How often a predecessor is asked whether sessions still follow into it. */
const FOLLOWING_EVERY_MS = 20
/** SIGTERM does not wait longer than this for a runtime to say how many it still serves. */
const LAST_ASK_MS = 250

export interface PairContext {
  /** Who serves, or, when nobody does, who did or was to do so last. */
  readonly predecessor: Generation
  readonly successor: Generation
  /** Why nobody serves: the successor is then started as first generation. */
  readonly nobodyServes: string | undefined
  /** Has what was served before, where nobody serves. */
  readonly keeper: Generation | undefined
  /** There was no such worker before: predecessor and successor are the same, and nobody serves. */
  readonly isNew: boolean
  readonly listeners: Listeners
  readonly settings: Settings
  /** Those it commits with, by the number of their upgrade. */
  readonly group: { readonly number: number; readonly ballot: Ballot } | undefined
  /** All processes there are now. */
  generations(): Iterable<Generation>
  /** Resolves when it is known whether all that this process served has been handed over. */
  isKnown(generation: Generation): Promise<void>
}

export class Pair {
  readonly worker: number
  readonly predecessor: Generation
  readonly successor: Generation
  readonly nobodyServed: boolean
  readonly #context: PairContext
  readonly #facts: Facts
  readonly #account = new Account()
  /**
   * - transfer: from the predecessor
   * - activate: there is nobody to take over from
   * - replace: one side does not join: begun when the others are decided
   * - alone: from a predecessor that knows nothing of groups: begun when the others are decided
   */
  #way: 'transfer' | 'activate' | 'replace' | 'alone' = 'transfer'
  #isFrozen = false
  /** It was never begun, so that no word of an end would come from anyone. */
  #isOver = false
  #decision: Decision | undefined
  #drains = false
  /** Who is lost from here on is lost to the stop. */
  #isStopped = false
  #aliveAtStop = false
  #isLossNoted = false
  /** It is ended for another's sake. */
  #isGivenUp = false

  constructor(context: PairContext) {
    this.#context = context
    this.predecessor = context.predecessor
    this.successor = context.successor
    this.worker = context.successor.worker
    this.nobodyServed = context.nobodyServes !== undefined
    this.#facts = new Facts(context.predecessor, context.successor)
    if (context.nobodyServes === undefined) void this.predecessor.ask(context.settings.checkMs)
    else {
      this.#way = 'activate'
      if (!context.isNew) this.#account.note(`nobody served: ${context.nobodyServes}`)
    }
  }

  get isNew(): boolean {
    return this.#context.isNew
  }

  get isActive(): boolean {
    return this.#facts.active !== undefined
  }

  get isDecided(): boolean {
    return this.#decision !== undefined
  }

  /** What has moved, for all that is known, and there is something left to drain. */
  get drains(): boolean {
    return this.#drains
  }

  async becomesReady(): Promise<boolean> {
    const { readyTimeoutMs } = this.#context.settings
    const begunMs = nowMs()
    const reason = await whyNotReady(this.successor, this.#facts, readyTimeoutMs)
    this.#account.spend('spawn', begunMs)
    if (reason !== undefined) this.#fail(reason)
    return reason === undefined
  }

  /** Begins the transfer, if there is one to begin now. */
  async begin(): Promise<void> {
    if (this.#way === 'activate') return
    const { predecessor, successor } = this
    // What it has before it gives it away, for what is lost should it die.
    await predecessor.ask(this.#context.settings.checkMs)
    if (!predecessor.alive) {
      this.#noteLost('before the transfer')
      this.#way = 'activate'
      return
    }
    if (!successor.alive) {
      this.#fail(`the successor ${successor.ending} before the transfer`)
      this.#isOver = true
      return
    }
    if (!predecessor.joins || !successor.joins) {
      this.#way = 'replace'
      return
    }
    await this.#untilFollowed()
    const { group } = this.#context
    if (group === undefined || predecessor.canGroup) this.#connect(group)
    else {
      this.#way = 'alone'
      this.#account.note('the predecessor knows nothing of groups: it was taken over when the others had committed')
    }
  }

  /** In a group: resolves with true when little is left to copy. */
  async settles(): Promise<boolean> {
    return this.#comesTo('settled', this.#copyLimitMs)
  }

  /** In a group: all have settled. */
  freeze(): void {
    if (this.#way !== 'transfer' || !this.predecessor.alive) return
    this.#isFrozen = true
    this.predecessor.send('freeze', { group: this.#group.number })
  }

  /** In a group: resolves with true when the successor has all, and waits for the commit. */
  async votes(): Promise<boolean> {
    return this.#comesTo('voted', this.#freezeLimitMs)
  }

  /** Goes to the end of the transaction, as all have decided; alone, as it decides itself. */
  async concludes(verdict: Verdict | undefined): Promise<void> {
    if (verdict === 'abort') await this.#withdraw()
    else if (this.#way === 'activate') await this.#activate()
    else if (this.#way === 'replace') await this.#replace()
    else {
      if (this.#way === 'alone') this.#connect(undefined)
      await this.#untilEnded(this.#copyLimitMs + this.#freezeLimitMs)
    }
  }

  /** Another one has failed, and this one has not begun. */
  giveUp(): void {
    // What it has died of by itself is a reason.
    if (this.successor.hasExited) return
    this.#isGivenUp = true
    this.#account.overrule()
    // A program that was not ready may have accepted all the same: it may end what it has begun.
    if (this.successor.joins) this.successor.end()
    else void this.successor.stop(EXIT_GRACE_MS)
  }

  /** Settles who serves from now on. */
  async decide(): Promise<Decision> {
    const { listeners, settings } = this.#context
    const { predecessor, successor } = this
    const { active } = this.#facts
    const from = predecessor.side
    if (active === undefined) {
      await this.#end()
      if (this.#isStopped) this.#account.fail('the supervisor was stopped before the upgrade was committed')
    }
    if (active !== undefined) listeners.commit(successor.start, active.listeners, this.worker)
    else {
      listeners.abort(successor.start)
      if (!predecessor.alive && this.#facts.committed === undefined) this.#noteLost('before the transfer was complete')
    }
    const isActive = active !== undefined
    const hasHandedOver = this.#facts.committed !== undefined || (isActive && !this.#isLossNoted)
    if (!this.nobodyServed && hasHandedOver) {
      predecessor.hasHandedOver = true
      predecessor.drains(nowMs() + settings.drainMs)
    }
    // Handed over, and its taker gone: the predecessor has nothing left to serve with.
    const stays = predecessor.alive && !hasHandedOver
    const serves = isActive ? 'successor' : stays ? 'predecessor' : 'nobody'
    this.#decision = { serves, from, to: successor.side }
    this.#drains = !this.nobodyServed && (isActive || hasHandedOver)
    return this.#decision
  }

  /** After `decide`: resolves when the predecessor is gone, if it is to go. */
  async ends(): Promise<PairResult> {
    if (this.#drains) await this.#drain()
    this.#facts.close()
    return this.#account.result(this.#facts, this.#decision as Decision)
  }

  /** Before it is decided: gives it up. Afterwards: ends the drain, SIGTERM and after `graceMs` SIGKILL. */
  async stop(graceMs: number): Promise<void> {
    if (this.isDecided) this.#noteSuccessor()
    this.#aliveAtStop = this.predecessor.alive
    this.#isStopped = true
    if (!this.isDecided) await this.successor.kill()
    else {
      // Only it knows how many it still serves, and SIGTERM may be the end of it.
      await this.predecessor.ask(LAST_ASK_MS)
      await this.predecessor.stop(graceMs)
    }
  }

  get #group(): NonNullable<PairContext['group']> {
    return this.#context.group as NonNullable<PairContext['group']>
  }

  /** Every wait of the transaction is bounded by these; past their sum something has come to a stop for good. */
  get #copyLimitMs(): number {
    const { checkMs, copyMs } = this.#context.settings
    return checkMs * 2 + copyMs
  }

  get #freezeLimitMs(): number {
    return this.#context.settings.freezeMs * 6
  }

  /** The transaction is over. */
  #hasEnded(): boolean {
    const { predecessor, successor } = this
    const { active, committed, abortedBy } = this.#facts
    // The predecessor's word is the end. Without a predecessor the successor's is: it has it all, or gives up.
    return (
      this.#isOver ||
      active !== undefined ||
      (predecessor.alive ? abortedBy.predecessor !== undefined : abortedBy.successor !== undefined) ||
      (!successor.alive && (committed !== undefined || !predecessor.alive))
    )
  }

  async #comesTo(what: 'settled' | 'voted', limitMs: number): Promise<boolean> {
    if (this.#way !== 'transfer') return this.successor.alive
    const facts = this.#facts
    const hasCome = () => facts[what] === this.#group.number
    if (!(await facts.until(limitMs, () => hasCome() || this.#hasEnded())))
      this.#fail(`the ${what === 'settled' ? 'copy' : 'vote'} had not come within ${limitMs} ms`)
    return facts.active !== undefined || (hasCome() && !this.#hasEnded())
  }

  async #untilEnded(limitMs: number): Promise<void> {
    const { predecessor, successor } = this
    const facts = this.#facts
    if (!(await facts.until(limitMs, () => this.#hasEnded()))) {
      this.#fail(`the transfer did not end within ${limitMs} ms`)
      await successor.kill()
      const { freezeMs } = this.#context.settings
      await facts.until(freezeMs, () => facts.abortedBy.predecessor !== undefined || !predecessor.alive)
    }
    this.#noteEnd()
  }

  #noteEnd(): void {
    const { active, committed, abortedBy } = this.#facts
    if (this.#isOver || active !== undefined || committed !== undefined) return
    if (!this.predecessor.alive) this.#noteLost('before the transfer was complete')
    // A predecessor that is overruled fences.
    const said = abortedBy.predecessor
    if (!this.successor.alive && !(said && isOverruled(said))) this.#fail(`the successor ${this.successor.ending}`)
  }

  /**
   * It is not to be. Whose freeze has begun hears of it by the ballot, and its predecessor fences: a kill from here might
   * meet a predecessor that has just died, and a successor that has all.
   */
  async #withdraw(): Promise<void> {
    if (this.#way !== 'transfer') {
      if (this.successor.alive) this.giveUp()
      return
    }
    if (!this.#isFrozen && !this.#hasEnded()) this.giveUp()
    await this.#untilEnded(this.#freezeLimitMs)
  }

  /** What still follows into the predecessor from the one before it comes first: it would be left behind with that one. */
  async #untilFollowed(): Promise<void> {
    const { settings, generations } = this.#context
    const { predecessor, successor } = this
    const untilMs = nowMs() + settings.drainMs
    const isFollowing = async () => {
      const draining = [...generations()].filter(
        (each) => each.state === 'draining' && each !== predecessor && each.worker === this.worker,
      )
      const said = await Promise.all(draining.map((each) => each.ask(settings.checkMs)))
      return said.some((status) => status?.following === true)
    }
    while (nowMs() < untilMs && predecessor.alive && successor.alive && (await isFollowing()))
      await new Promise((resolve) => setTimeout(resolve, FOLLOWING_EVERY_MS))
  }

  /** Only the listeners can be had by both. */
  async #replace(): Promise<void> {
    const { predecessor, successor } = this
    const { settings } = this.#context
    const failure = await replace({ predecessor, successor, facts: this.#facts, account: this.#account, settings })
    if (failure !== undefined) this.#fail(failure)
    if (!predecessor.alive && this.#facts.committed === undefined) this.#noteLost('before it was replaced')
  }

  /** There is nobody to take over from. */
  async #activate(): Promise<void> {
    const { keeper, settings, successor } = this.#context
    const checkMs = keeper === undefined ? settings.checkMs : takeoverMs(settings)
    activate(successor, keeper, settings, false)
    await this.#facts.until(checkMs, () => this.#facts.active !== undefined || !successor.alive)
    if (this.#facts.active !== undefined) return
    const ending = successor.ending ?? `did not serve within ${checkMs} ms`
    this.#fail(`the successor ${ending}, with nobody to take over from`)
  }

  #connect(group: PairContext['group']): void {
    const { predecessor, successor } = this
    // Of a transfer before this one that was not waited for to the end.
    this.#facts.abortedBy = {}
    try {
      // It hears nothing while its predecessor waits for others.
      const patienceMs = group === undefined ? this.#context.settings.checkMs : this.#copyLimitMs
      connect(predecessor, successor, this.#context.settings, patienceMs, group)
    } catch (error) {
      this.#fail(`the transfer could not begin: ${messageOf(error)}`)
      this.#isOver = true
    }
  }

  /** What it died of is said in every case: its end may be known to the kernel, or to the predecessor, before it is here. */
  async #end(): Promise<void> {
    const { successor } = this
    if (!successor.alive) return
    const hadExited = successor.hasExited
    if (successor.joins) await successor.kill()
    else await successor.stop(EXIT_GRACE_MS)
    const endedByItself = hadExited || !successor.ending?.includes('SIGKILL')
    const said = this.#facts.abortedBy.predecessor
    if (endedByItself && said?.outcome === 'failed' && !isOverruled(said))
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

  /** All that the predecessor had is gone with it. */
  #noteLost(when: string): void {
    if (this.#isLossNoted || this.#aliveAtStop || this.nobodyServed) return
    this.#isLossNoted = true
    const { lastStatus, ending, joins } = this.predecessor
    if (!joins) {
      this.#account.note(`the predecessor ${ending} ${when}; its connections went with it, and could not be counted`)
      return
    }
    const sessions = lastStatus?.sessions.reduce((sum, kind) => sum + kind.count, 0) ?? 0
    const count = lastStatus === undefined ? 1 : lastStatus.unregistered + sessions
    this.#account.drop(`the predecessor ${ending} ${when}`, count)
  }

  #fail(reason: string): void {
    if (!this.#isStopped && !this.#isGivenUp) this.#account.fail(reason)
  }
}
