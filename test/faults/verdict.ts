/**
 * What each (moment, victim, fault) may end with, from the guarantees of the README and the phase table; not from what
 * the code does. Where several endings are allowed, which one it is depends on who was faster.
 */
import { PHASES, type Phase, type Side, stepOf } from '../../src/transfer/phases.js'
import { type Column, isOfProcess, type Step } from './steps.js'

/**
 * Went on in the successor; given back to the predecessor; each client one clean close, counted with its reason. Of what
 * follows: some went on in the successor, each other got its close, and is counted.
 */
export type Ending = 'successor' | 'predecessor' | 'closed' | 'split'

const phaseOf = (side: Side, name: string): Phase => (PHASES[side] as Record<string, Phase>)[name]!

const isLast = (side: Side, name: string): boolean => Object.keys(phaseOf(side, name).on).length === 0
const GIVEN_UP = Object.keys(PHASES.successor).find(
  (name) => isLast('successor', name) && !phaseOf('successor', name).owns,
)!

export interface Progress {
  /** The successor has what it needs to go on alone. */
  readonly isComplete: boolean
  /** The successor was told to begin. */
  readonly isCommitted: boolean
  /** The predecessor knows that it did, and has let go. */
  readonly hasLetGo: boolean
  /** One side knows how it ends, and may have told the supervisor. */
  readonly isOver: boolean
}

/** In which phase each side must be, from the messages that went by. */
export class Observer implements Progress {
  #predecessor = Object.keys(PHASES.predecessor)[0]!
  #successor = Object.keys(PHASES.successor)[0]!

  /** A message that reaches the successor, or the predecessor. */
  forwarded(to: Side, kind: string): void {
    const before = this.#successor
    if (to === 'successor') {
      this.#successor = stepOf('successor', before as never, kind)?.to ?? before
      // What the predecessor steps by itself, it says; both sides call a phase by one name.
      if (this.#successor !== before && this.#successor in PHASES.predecessor) this.#predecessor = this.#successor
    } else {
      this.#predecessor = stepOf('predecessor', this.#predecessor as never, kind)?.to ?? this.#predecessor
      // Who says what makes the other thaw has given up.
      if (isLast('predecessor', this.#predecessor) && !this.hasLetGo) this.#successor = GIVEN_UP
    }
  }

  get isComplete(): boolean {
    const { on, owns } = phaseOf('successor', this.#successor)
    return owns || (on['eof'] !== undefined && phaseOf('successor', on['eof'].to).owns)
  }

  get isCommitted(): boolean {
    return phaseOf('successor', this.#successor).owns
  }

  get hasLetGo(): boolean {
    return isLast('predecessor', this.#predecessor) && !phaseOf('predecessor', this.#predecessor).owns
  }

  get isOver(): boolean {
    return isLast('predecessor', this.#predecessor) || this.#successor === GIVEN_UP
  }
}

/** When the fault happened, as far as the messages that went by tell. */
export interface Moment extends Progress {
  readonly stage: Step['stage']
}

/** @param end how it stood when the upgrade had ended: more may have been under way than had gone by. */
export function allowed(
  { stage, isComplete, isCommitted, hasLetGo }: Moment,
  column: Column,
  end: Progress,
): readonly Ending[] {
  const { victim, fault } = column
  const either: readonly Ending[] = ['predecessor', 'successor']
  if (stage === 'follow') return allowedOfFollowing(column)
  if (victim === 'supervisor' || (stage !== 'transfer' && !isOfProcess(fault))) {
    // 3: the supervisor may die at any time, and no connection notices.
    if (isOfProcess(fault)) return either
    // A control channel that breaks while both its ends live: a runtime that nobody can reach is ended and counted,
    // but 1: never the predecessor's clients for the successor's sake.
    const whose = column.towards ?? victim
    const owns = whose === 'successor' ? end.isComplete : !hasLetGo
    return owns ? [...either, 'closed'] : either
  }
  if (victim === 'predecessor') {
    // 3: once the successor has everything, the predecessor may die and the successor goes on. Before, what dies is gone.
    if (fault === 'kill') return [end.isComplete ? 'successor' : 'closed']
    if (hasLetGo) return ['successor']
    // 2: who has not everything does not go on.
    return isComplete || (end.isComplete && fault === 'stop') || stage === 'spawn' || fault === 'emfile'
      ? either
      : ['predecessor']
  }
  // Once the predecessor has let go, the successor is a server like any other: it can crash, and the result says so.
  if (hasLetGo) return [fault === 'kill' && victim === 'successor' ? 'closed' : 'successor']
  if (isCommitted || (end.isCommitted && !isOfProcess(fault)))
    return fault === 'kill' && victim === 'successor' ? ['predecessor', 'closed'] : either
  // 3: an end of the channel may be the predecessor's, and who has everything then goes on.
  if (fault === 'emfile' || (fault === 'closed' && isComplete)) return either
  // 1: a successor that crashes, hangs or refuses before commit leaves the predecessor serving every session.
  return stage === 'spawn' && fault === 'stop' ? either : ['predecessor']
}

/** The successor is the server by now. What has not followed when its way is cut is served until the drain is over. */
function allowedOfFollowing({ victim, fault }: Column): readonly Ending[] {
  if (victim === 'supervisor') return isOfProcess(fault) ? ['successor'] : ['successor', 'split', 'closed']
  if (fault === 'kill') return victim === 'successor' ? ['closed'] : ['successor', 'split']
  return ['successor', 'split']
}
