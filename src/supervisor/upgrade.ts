/** One upgrade, from the start of the successor to the end of the predecessor. Never throws: it ends with a result. */
import { messageOf } from '../errors.js'
import { binding } from '../sys/binding.js'
import { closeAll } from '../sys/channel.js'
import { nowMs } from '../sys/clock.js'
import type { Generation, GenerationEvents, Status } from './generation.js'
import type { Listeners } from './listeners.js'
import { EXIT_GRACE_MS, type Settings } from './options.js'
import type { Outcome, PhaseDuration, Reason, UpgradeResult } from './result.js'

export type UpgradePhase = 'spawn' | 'transfer' | 'drain'

export interface Upgrade {
  readonly id: number
  readonly predecessor: Generation
  readonly successor: Generation
  readonly listeners: Listeners
  readonly settings: Settings
  onPhase(phase: UpgradePhase): void
  /** The successor serves; the predecessor drains. */
  onCommitted(): void
}

/** What both sides have said. Kept as it comes in, whatever is being waited for: "drained" may overtake "active". */
interface Facts {
  ready?: true
  active?: GenerationEvents['active'][0]
  committed?: GenerationEvents['committed'][0]
  drained?: GenerationEvents['drained'][0]
  abortedBy: { predecessor?: GenerationEvents['aborted'][0]; successor?: GenerationEvents['aborted'][0] }
}

export async function runUpgrade(upgrade: Upgrade): Promise<UpgradeResult> {
  const run = new Run(upgrade)
  try {
    return await run.run()
  } finally {
    run.close()
  }
}

class Run {
  readonly #upgrade: Upgrade
  readonly #startedAt = new Date().toISOString()
  readonly #startedAtMs = nowMs()
  readonly #facts: Facts = { abortedBy: {} }
  readonly #reasons: Reason[] = []
  readonly #undo: (() => void)[] = []
  #spawnMs = 0
  #drainMs = 0
  #dropped = 0
  /** Where only the successor can say it. */
  #followed = 0
  /** What the predecessor last said it has. */
  #before: Status | undefined
  #isLossNoted = false
  #wake: () => void = () => undefined

  constructor(upgrade: Upgrade) {
    this.#upgrade = upgrade
    const { predecessor, successor } = upgrade
    const facts = this.#facts
    this.#follow(successor, 'ready', () => (facts.ready = true))
    this.#follow(successor, 'active', (said) => (facts.active = said))
    this.#follow(successor, 'aborted', (said) => (facts.abortedBy.successor = said))
    this.#follow(successor, 'exit', () => undefined)
    this.#follow(predecessor, 'committed', (said) => (facts.committed = said))
    this.#follow(predecessor, 'aborted', (said) => (facts.abortedBy.predecessor = said))
    this.#follow(predecessor, 'drained', (said) => (facts.drained = said))
    this.#follow(predecessor, 'exit', () => undefined)
  }

  close(): void {
    for (const step of this.#undo.splice(0)) step()
  }

  async run(): Promise<UpgradeResult> {
    const { predecessor, successor, onPhase, onCommitted, listeners } = this.#upgrade
    const from = predecessor.side
    onPhase('spawn')
    void this.#askBefore()
    if (await this.#becomesReady()) {
      onPhase('transfer')
      await this.#transfer()
    }
    const to = successor.side
    if (this.#facts.active !== undefined) {
      listeners.commit(successor.number, this.#facts.active.listeners)
      onCommitted()
      onPhase('drain')
      await this.#drain()
    } else {
      await this.#end(successor)
      // Handed over, and its taker gone: the predecessor has nothing left to serve with.
      if (this.#facts.committed !== undefined) await this.#drain()
      else if (!predecessor.alive) this.#noteLost('before the transfer was complete')
      listeners.abort(successor.number)
    }
    return this.#result(from, to)
  }

  /** What it died of is said in every case: its end may be known to the kernel, or to the predecessor, before it is here. */
  async #end(successor: Generation): Promise<void> {
    if (!successor.alive) return
    const hadExited = successor.hasExited
    await successor.kill()
    const endedByItself = hadExited || !successor.ending?.includes('SIGKILL')
    if (endedByItself && this.#facts.abortedBy.predecessor?.outcome === 'failed')
      this.#fail(`the successor ${successor.ending}`)
  }

  async #becomesReady(): Promise<boolean> {
    const { successor, settings } = this.#upgrade
    const begunMs = nowMs()
    await this.#until(settings.readyTimeoutMs, () => this.#facts.ready === true || !successor.alive)
    this.#spawnMs = nowMs() - begunMs
    if (!successor.alive) this.#fail(`the successor ${successor.ending} before it was ready`)
    else if (!this.#facts.ready)
      this.#fail(
        `the successor was not ready within ${settings.readyTimeoutMs} ms: it must call join() and await ready()`,
      )
    return successor.alive && this.#facts.ready === true
  }

  async #transfer(): Promise<void> {
    const { predecessor, successor, settings } = this.#upgrade
    const { abortedBy } = this.#facts
    await this.#askBefore()
    if (!predecessor.alive) {
      this.#noteLost('before the transfer')
      successor.send('activate', {})
      await this.#until(settings.checkMs, () => this.#facts.active !== undefined || !successor.alive)
      return
    }
    if (!successor.alive) {
      // Nothing was begun, so that no word of an end would come from anyone.
      this.#fail(`the successor ${successor.ending} before the transfer`)
      return
    }
    try {
      this.#connect()
    } catch (error) {
      this.#fail(`the transfer could not begin: ${messageOf(error)}`)
      return
    }
    // The predecessor's word is the end. Without a predecessor the successor's is: it has it all, or gives up.
    const ended = () =>
      this.#facts.active !== undefined ||
      (predecessor.alive ? abortedBy.predecessor !== undefined : abortedBy.successor !== undefined) ||
      (!successor.alive && (this.#facts.committed !== undefined || !predecessor.alive))
    // Every wait of the transaction is bounded by these; past their sum something has come to a stop for good.
    const limitMs = settings.checkMs + settings.freezeMs * 6
    if (!(await this.#until(limitMs, ended))) {
      this.#fail(`the transfer did not end within ${limitMs} ms`)
      await successor.kill()
      await this.#until(settings.freezeMs, () => abortedBy.predecessor !== undefined || !predecessor.alive)
    }
    const { active, committed } = this.#facts
    if (active !== undefined || committed !== undefined) return
    if (!predecessor.alive) this.#noteLost('before the transfer was complete')
    if (!successor.alive) this.#fail(`the successor ${successor.ending}`)
  }

  /** Gives both sides an end of a new channel, the other's pidfd, and the token only one of them can have. */
  #connect(): void {
    const { predecessor, successor, settings } = this.#upgrade
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
      const { checkMs, freezeMs, drainMs, policy, copyMs, unsettled } = settings
      const fields = { checkMs, freezeMs, drainMs, policy, copyMs, unsettled }
      successor.send('transfer', { side: 'successor', ...fields }, [theirs, predecessor.pidfd, token])
      predecessor.send('transfer', { side: 'predecessor', ...fields }, [ours, successor.pidfd, token])
    } finally {
      closeAll(made)
    }
  }

  async #askBefore(): Promise<void> {
    const { predecessor, settings } = this.#upgrade
    this.#before = (await predecessor.ask(settings.checkMs)) ?? this.#before
  }

  /** All that the predecessor had is gone with it. */
  #noteLost(when: string): void {
    if (this.#isLossNoted) return
    const before = this.#before
    const sessions = before?.sessions.reduce((sum, kind) => sum + kind.count, 0) ?? 0
    this.#isLossNoted = true
    this.#drop(
      `the predecessor ${this.#upgrade.predecessor.ending} ${when}`,
      before === undefined ? 1 : before.unregistered + sessions,
    )
  }

  #drop(reason: string, count: number): void {
    this.#dropped += count
    if (count > 0) this.#reasons.push({ of: 'dropped', reason, count })
  }

  /** The predecessor serves what could not move, and goes. */
  async #drain(): Promise<void> {
    const { predecessor, settings } = this.#upgrade
    const begunMs = nowMs()
    // A connection closed at the deadline still has a second to end politely, hence the margin.
    await this.#until(settings.drainMs + EXIT_GRACE_MS, () => this.#facts.drained !== undefined || !predecessor.alive)
    if (this.#facts.drained === undefined && !this.#isLossNoted) {
      const ending = predecessor.ending ?? 'did not end its drain'
      // Only the predecessor knew how many were left; how many there were before is the nearest.
      this.#drop(
        `the predecessor ${ending}: connections that were not sessions are gone`,
        this.#before?.unregistered ?? 1,
      )
      await this.#countFollowed(ending)
    }
    await predecessor.stop(EXIT_GRACE_MS)
    const { successor } = this.#upgrade
    const moved = this.#moved
    if (!successor.alive) this.#drop(`the successor ${successor.ending} after commit`, moved)
    this.#drainMs = nowMs() - begunMs
  }

  /** What had stayed behind is gone with the predecessor, but for what the successor says has come. */
  async #countFollowed(ending: string): Promise<void> {
    const { successor, settings } = this.#upgrade
    const { left = 0 } = this.#facts.committed ?? {}
    if (left === 0) return
    // A batch may lie in its channel still, unread.
    this.#followed = (await successor.ask(settings.checkMs, true))?.followed ?? 0
    this.#drop(`the predecessor ${ending}: sessions that had not followed are gone`, Math.max(0, left - this.#followed))
  }

  get #moved(): number {
    const { active, committed, drained } = this.#facts
    return (active?.sessions ?? committed?.moved ?? 0) + (drained?.followed?.sessions ?? this.#followed)
  }

  #result(from: UpgradeResult['from'], to: UpgradeResult['to']): UpgradeResult {
    const { active, committed, drained, abortedBy } = this.#facts
    const aborted = active === undefined ? (abortedBy.predecessor ?? abortedBy.successor) : undefined
    const outcome: Outcome = active !== undefined ? 'committed' : (aborted?.outcome ?? 'failed')
    const refusals = (aborted?.reasons ?? committed?.reasons ?? []).map(
      (reason): Reason => ({ of: reason.kind === undefined ? 'upgrade' : 'refused', ...defined(reason) }),
    )
    let ended = drained?.drained ?? 0
    const drains = (drained?.reasons ?? []).map((reason): Reason => {
      const of = ended > 0 ? 'drained' : 'dropped'
      ended -= reason.count
      return { of, ...defined(reason) }
    })
    const followed = drained?.followed ?? { sessions: this.#followed, pauseMs: null }
    const phases: PhaseDuration[] = [
      { phase: 'spawn', durationMs: this.#spawnMs },
      ...(committed?.phases ?? aborted?.phases ?? []),
    ]
    if (active !== undefined) phases.push({ phase: 'drain', durationMs: this.#drainMs })
    return {
      id: this.#upgrade.id,
      outcome,
      startedAt: this.#startedAt,
      durationMs: nowMs() - this.#startedAtMs,
      from,
      to,
      sessions: {
        moved: active === undefined ? 0 : this.#moved,
        drained: drained?.drained ?? 0,
        dropped: this.#dropped + (drained?.dropped ?? 0),
        refused: refusals.reduce((sum, { of, count }) => sum + (of === 'refused' ? count : 0), 0),
      },
      reasons: [...refusals, ...this.#reasons, ...drains],
      pauseMs: active?.pauseMs ?? aborted?.pauseMs ?? null,
      followed,
      phases,
      listeners: this.#upgrade.listeners.list(),
    }
  }

  #fail(reason: string): void {
    this.#reasons.push({ of: 'upgrade', reason, count: 1 })
  }

  #follow<K extends keyof GenerationEvents>(
    generation: Generation,
    name: K,
    note: (said: GenerationEvents[K][0]) => void,
  ): void {
    const listener = (said?: unknown) => {
      note(said as GenerationEvents[K][0])
      this.#wake()
    }
    generation.on(name as 'exit', listener)
    this.#undo.push(() => generation.removeListener(name as 'exit', listener))
  }

  /** Waits until `holds`, looked at after each event; false at the deadline. */
  async #until(timeoutMs: number, holds: () => boolean): Promise<boolean> {
    if (holds()) return true
    let timer: NodeJS.Timeout | undefined
    const held = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs)
      this.#wake = () => {
        if (holds()) resolve(true)
      }
    })
    clearTimeout(timer)
    this.#wake = () => undefined
    return held || holds()
  }
}

function defined(reason: {
  reason: string
  count: number
  kind?: string | undefined
  version?: number | undefined
}): Omit<Reason, 'of'> {
  const { kind, version, ...rest } = reason
  return { ...rest, ...(kind === undefined ? {} : { kind }), ...(version === undefined ? {} : { version }) }
}
