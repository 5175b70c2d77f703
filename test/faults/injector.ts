/** Watches the exchange, and at its step makes the fault happen, once. */
import { closeAll } from '../../src/sys/channel.js'
import { isRunning } from '../harness/census.js'
import { until } from '../harness/timeout.js'
import { garbled, type Packet, readMessage, withDescriptorCount } from './packet.js'
import { type Gate, spareDescriptor } from './relay.js'
import { type Cell, isOnTransfer, type Party, type Step, stageOf } from './steps.js'
import { CHECK_MS, FREEZE_MS, type PartyRelay, READY_MS, type TappedSupervisor } from './tapped.js'
import { type Moment, Observer, type Progress } from './verdict.js'
import { exhaustDescriptors, kill, signal, stop } from './victims.js'

/** The longest that one side waits for the other. */
const LONGEST_DEADLINE_MS = {
  spawn: READY_MS,
  transfer: CHECK_MS + 2 * FREEZE_MS,
  follow: 2 * FREEZE_MS,
  drain: 2 * FREEZE_MS,
}
const MARGIN_MS = 500

export class Injector {
  /** Kinds that went by on the transfer channel. */
  readonly kinds = new Set<string>()
  /** When the fault happened; undefined until then. */
  moment: Moment | undefined
  readonly #observer = new Observer()
  readonly #cell: Cell | undefined
  readonly #seed: number
  /** The next packet of this party on this relay is to be spoilt. */
  #spoil: { relay: PartyRelay; from: Party } | undefined
  #undo: (() => Promise<void>) | undefined
  #happening: Promise<void> | undefined
  #over = false

  /** Without a cell nothing happens, but all is watched. */
  constructor(cell: Cell | undefined, seed: number) {
    this.#cell = cell
    this.#seed = seed
  }

  get progress(): Progress {
    const { isComplete, isCommitted, hasLetGo, isOver } = this.#observer
    return { isComplete, isCommitted, hasLetGo, isOver }
  }

  /** The upgrade has ended: nothing more happens, and what was done to a process is undone. */
  async end(): Promise<void> {
    this.#over = true
    this.#spoil = undefined
    await this.#happening
    await this.#undo?.()
    this.#undo = undefined
  }

  /** @param stage whose steps are on this channel. */
  gate(supervisor: () => TappedSupervisor, stage: Step['stage'], relayOf: () => PartyRelay | undefined): Gate<Party> {
    return async (from, packet, pass) => {
      if (this.#over) return pass(packet)
      const { kind } = readMessage(packet)
      const step = this.#cell?.step
      const here = stage === 'transfer' ? stageOf(kind) : stage
      const isHere = step !== undefined && this.moment === undefined && step.kind === kind && step.stage === here
      const happens = async () => {
        this.moment = { stage: step!.stage, ...this.progress }
        this.#happening = this.#happen(supervisor(), from, relayOf())
        await this.#happening
      }
      if (isHere && step.when === 'before') await happens()
      this.#passSpoilt(from, packet, relayOf(), pass)
      if (stage === 'transfer') {
        this.kinds.add(kind)
        this.#observer.forwarded(from === 'predecessor' ? 'successor' : 'predecessor', kind)
      }
      if (isHere && step.when === 'after') await happens()
    }
  }

  async #happen(supervisor: TappedSupervisor, from: Party, here: PartyRelay | undefined): Promise<void> {
    const { step, column } = this.#cell!
    const [predecessor, successor] = supervisor.runtimes as [number, number]
    const pid = { predecessor, successor, supervisor: supervisor.pid, both: 0 }[column.victim]
    const ofControl = { predecessor: supervisor.controls[0]!, successor: supervisor.controls[1]! }
    switch (column.fault) {
      case 'kill':
        return kill(pid)
      case 'stop':
        await stop(pid)
        void this.#continue(supervisor, pid, column.victim)
        return
      case 'emfile':
        this.#undo = await exhaustDescriptors(pid)
        return
    }
    const isControl = column.victim === 'supervisor' || !isOnTransfer(step)
    const whose = column.towards ?? (column.victim as 'predecessor' | 'successor')
    const relay = isControl ? ofControl[whose] : supervisor.transfer!
    const sender = column.victim as Party
    switch (column.fault) {
      case 'closed':
        // On a transfer the victim alone hears the end, which is worse: the other side hears nothing.
        for (const name of relay.names) if (isControl || column.victim === 'both' || name === sender) relay.close(name)
        return
      case 'silence':
        relay.silence(sender)
        this.#undo = async () => relay.speak()
        return
      case 'count':
        this.#spoil = { relay, from: sender }
        return
      case 'garbage':
        if (step.when === 'before' && relay === here && from === sender) this.#spoil = { relay, from: sender }
        else relay.forge(sender, { bytes: garbled(Buffer.alloc(64), this.#seed & ~1), descriptors: [] })
    }
  }

  #passSpoilt(from: Party, packet: Packet, relay: PartyRelay | undefined, pass: (packet: Packet) => void): void {
    const isSpoilt = this.#spoil !== undefined && this.#spoil.relay === relay && this.#spoil.from === from
    if (!isSpoilt) {
      pass(packet)
      return
    }
    this.#spoil = undefined
    const { bytes, descriptors } = packet
    if (this.#cell?.column.fault === 'garbage') {
      pass({ bytes: garbled(bytes, this.#seed), descriptors })
      return
    }
    const isLess = descriptors.length > 0 && this.#seed % 2 === 0
    const spare = isLess ? [] : [spareDescriptor()]
    const changed = isLess ? descriptors.slice(0, -1) : [...descriptors, ...spare]
    const isFrameRight = this.#seed % 4 < 2
    pass({ bytes: isFrameRight ? withDescriptorCount(bytes, changed.length) : bytes, descriptors: changed })
    closeAll(spare)
  }

  /** When the others have given it up, or every deadline is over. */
  async #continue(supervisor: TappedSupervisor, pid: number, victim: string): Promise<void> {
    const longestMs = LONGEST_DEADLINE_MS[this.#cell!.step.stage] + MARGIN_MS
    const givenUp = () => {
      const { transfer } = supervisor
      const others = (transfer?.names ?? []).filter((name) => name !== victim)
      return transfer !== undefined && others.every((name) => transfer.hasEnded(name))
    }
    await until(() => !isRunning(pid) || givenUp(), 'the deadline', longestMs).catch(() => undefined)
    signal(pid, 'SIGCONT')
  }
}
