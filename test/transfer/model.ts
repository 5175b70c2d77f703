/**
 * Every way two sides can go through the two tables: with each message and each word of the kernel's at any moment, each
 * side killed at any moment, the channel cut, garbage in it, every deadline passing at any time. Steps are taken from the
 * table; what a side sends and how it fences is as in predecessor.ts, successor.ts and fence.ts.
 */
import { PHASES, type Phase, type Side, type Step } from '../../src/transfer/phases.js'

export type Tables = Readonly<Record<Side, Readonly<Record<string, Phase>>>>

interface Process {
  alive: boolean
  phase: string
  /** Its end of the channel is open. */
  linked: boolean
  /** What it has begun and not finished: a fence on the way to a step, or `say`: active, but "active" is not out. */
  doing?: { at: 'claim' | 'kill' | 'wait' | 'say'; step?: Step }
}

export interface State {
  predecessor: Process
  successor: Process
  /** Messages under way to each side, in order. '!' is garbage. */
  to: Record<Side, string[]>
  token?: Side
  /** States and parts sent, at most two. */
  sent: number
  faults: number
  /** What has happened: facts the claims are about. */
  everOwned: boolean
  ownerKilled: boolean
  disturbed: boolean
  /** The successor has had the whole manifest. */
  complete: boolean
}

export interface Transition {
  readonly name: string
  /** Not of the protocol: what the world does to it. */
  readonly isFault: boolean
  readonly next: State
}

const SIDES: readonly Side[] = ['predecessor', 'successor']
const MAX_SENT = 2
/** What the predecessor sends while it copies and in the freeze. All but the state are acknowledged. */
const PARTS = ['batch', 'update', 'gone']
export const otherOf = (side: Side): Side => (side === 'predecessor' ? 'successor' : 'predecessor')

export const initial = (faults: number): State => ({
  predecessor: { alive: true, phase: 'check', linked: true },
  successor: { alive: true, phase: 'check', linked: true },
  to: { predecessor: [], successor: ['offer'] },
  sent: 0,
  faults,
  everOwned: false,
  ownerKilled: false,
  disturbed: false,
  complete: false,
})

export function owns(tables: Tables, { alive, phase, doing }: Process, side: Side): boolean {
  return alive && doing === undefined && tables[side][phase]!.owns
}

/** Everything that can happen next. */
export function transitionsOf(state: State, tables: Tables = PHASES): Transition[] {
  const found: Transition[] = []
  const add = (name: string, change: (next: State) => void, isFault = false): void => {
    const next = copyOf(state)
    change(next)
    if (owns(tables, next.successor, 'successor')) next.everOwned = true
    found.push({ name, isFault, next })
  }
  for (const side of SIDES) {
    const own = state[side]
    if (!own.alive) continue
    if (own.doing !== undefined) addWork(side, own.doing)
    else addSteps(side, tables[side][own.phase]!)
    if (state.faults > 0) add(`${side} is killed`, (next) => kill(next, side, tables, true), true)
  }
  if (state.faults > 0) addDisturbances()
  return found

  /** The one thing a side that is in the middle of a step can do. */
  function addWork(side: Side, doing: NonNullable<Process['doing']>): void {
    const other = otherOf(side)
    if (doing.at === 'say') {
      add(`${side} says active`, (next) => {
        push(next, side, 'active')
        // To a channel that is cut nothing can be said; then the other must not live.
        if (!isReachable(next, side)) next[side].doing = { at: 'claim', step: { to: 'active', fence: 'dead' } }
        else activate(next)
      })
    } else if (doing.at === 'claim') {
      const isOurs = state.token === undefined || state.token === side
      add(`${side} ${isOurs ? 'takes the token' : 'finds no token'}`, (next) => {
        if (isOurs) next.token = side
        const mayYield = !isOurs && tables[side][next[side].phase]!.on['yielded']
        if (mayYield) enter(next, side, mayYield)
        else if (isOurs && doing.step!.fence === 'token') enter(next, side, doing.step!)
        else next[side].doing = { at: isOurs ? 'kill' : 'wait', step: doing.step! }
      })
    } else if (doing.at === 'kill') {
      add(`${side} kills`, (next) => {
        kill(next, other, tables, false)
        next[side].doing = { at: 'wait', step: doing.step! }
      })
    } else if (!state[other].alive) {
      add(`${side} knows that the other is dead`, (next) => enter(next, side, doing.step!))
    }
  }

  /** What a side may do or hear in its phase. */
  function addSteps(side: Side, { on, deadline }: Phase): void {
    const take = (event: string, before: (next: State) => void = () => undefined, after = before): void => {
      const step = on[event]
      if (step === undefined) return
      add(`${side}: ${event}`, (next) => {
        before(next)
        begin(next, side, step)
        if (after !== before) after(next)
      })
    }
    if (Object.keys(on).length === 0) return
    const queue = state.to[side]
    const [first] = queue
    const isSending = ['copy', 'transfer'].includes(state[side].phase)
    if (side === 'predecessor' && isSending && state.sent < MAX_SENT) {
      for (const kind of ['state', ...PARTS]) {
        add(`predecessor sends ${kind}`, (next) => {
          push(next, side, kind)
          next.sent++
        })
      }
    }
    take('settled', (next) => push(next, side, 'freeze'))
    take('sent', (next) => push(next, side, 'manifest'))
    take('decided', (next) => push(next, side, 'commit'))
    take('overruled')
    if (first === 'prepared') take('pending', (next) => void next.to[side].shift())
    const lastWord = side === 'successor' ? 'refuse' : isSending ? 'abort' : undefined
    take('failed', (next) => {
      if (lastWord !== undefined) push(next, side, lastWord)
    })
    if (first !== undefined) {
      const event = on[first] === undefined ? 'invalid' : first
      take(
        event,
        (next) => void next.to[side].shift(),
        (next) => answer(next, side, event),
      )
    } else if (!isReachable(state, side)) {
      take('eof')
    } else if (deadline !== undefined) {
      take('silence')
    }
  }

  function addDisturbances(): void {
    const { predecessor, successor } = state
    if (predecessor.linked && successor.linked) {
      add(
        'the channel is cut',
        (next) => {
          for (const side of SIDES) {
            next[side].linked = false
            next.to[side] = []
          }
          next.disturbed = true
          next.faults--
        },
        true,
      )
    }
    for (const side of SIDES) {
      if (!state[side].linked) continue
      add(
        `garbage comes to the ${side}`,
        (next) => {
          next.to[side].push('!')
          next.disturbed = true
          next.faults--
        },
        true,
      )
    }
  }
}

function copyOf(state: State): State {
  const { predecessor, successor, to } = state
  return {
    ...state,
    predecessor: { ...predecessor },
    successor: { ...successor },
    to: { predecessor: [...to.predecessor], successor: [...to.successor] },
  }
}

/** More may come: the other end is open. */
const isReachable = (state: State, side: Side): boolean => state[side].linked && state[otherOf(side)].linked

function push(state: State, from: Side, message: string): void {
  if (isReachable(state, from)) state.to[otherOf(from)].push(message)
}

function answer(state: State, side: Side, event: string): void {
  if (side === 'successor') {
    if (event === 'offer') push(state, side, 'accept')
    if (PARTS.includes(event)) push(state, side, 'received')
    if (event === 'manifest') {
      push(state, side, 'prepared')
      state.complete = true
    }
  } else if (event === 'prepared') {
    push(state, side, 'commit')
  }
}

function begin(state: State, side: Side, step: Step): void {
  if (step.fence === undefined) enter(state, side, step)
  else state[side].doing = { at: 'claim', step }
}

function enter(state: State, side: Side, step: Step): void {
  const own = state[side]
  own.phase = step.to
  delete own.doing
  if (step.to === 'active') {
    if (step.fence === 'dead') activate(state)
    else own.doing = { at: 'say' }
  }
  if (['thawed', 'drain', 'aborted'].includes(step.to)) close(state, side)
}

function activate(state: State): void {
  close(state, 'successor')
  delete state.successor.doing
}

function close(state: State, side: Side): void {
  state[side].linked = false
  state.to[side] = []
}

function kill(state: State, side: Side, tables: Tables, byFault: boolean): void {
  if (owns(tables, state[side], side)) state.ownerKilled = true
  state[side].alive = false
  delete state[side].doing
  close(state, side)
  if (byFault) state.faults--
}
