import t, { type Test } from 'tap'
import { FOLLOWING, followingStepOf, PHASES, type Phase, type Side, stepOf } from '../../src/transfer/phases.js'
import { TRANSFER } from '../../src/wire/messages.js'
import { initial, otherOf, owns, type State, type Tables, transitionsOf } from './model.js'

const tables: Tables = PHASES
const SIDES = Object.keys(PHASES) as Side[]
const LOST = ['eof', 'silence', 'invalid']
const OWN: Record<Side, string[]> = {
  predecessor: ['settled', 'sent', 'pending', 'decided', 'overruled', 'failed', 'yielded'],
  successor: ['failed'],
}
const FINAL: Record<Side, string[]> = { predecessor: ['drain', 'thawed'], successor: ['active', 'aborted'] }
const START = 'check'

const phasesOf = (side: Side): [string, Phase][] => Object.entries(tables[side])
/** Messages that come after commit. */
const FOLLOW = ['move', 'held', 'moved']
const heardBy = (side: Side): string[] =>
  Object.keys(TRANSFER).filter(
    (kind) => TRANSFER[kind as keyof typeof TRANSFER].from === otherOf(side) && !FOLLOW.includes(kind),
  )

for (const side of SIDES) {
  const events = [...Object.keys(TRANSFER), ...new Set(Object.values(OWN).flat()), ...LOST]

  for (const [name, phase] of phasesOf(side)) {
    t.test(`${side} in ${name}, with every event`, async (t) => {
      const may = [...heardBy(side), ...OWN[side], ...LOST]
      for (const event of events) {
        const step = stepOf(side, name as never, event)
        t.same(step, phase.on[event], `stepOf tells what the table says of ${event}`)
        if (step === undefined) continue
        t.ok(may.includes(event), `${event} can happen to the ${side}`)
        t.ok(step.to in tables[side], `${event} leads to a phase that exists`)
      }
      t.same(
        Object.keys(phase.on).filter((event) => !events.includes(event)),
        [],
        'there is no other event',
      )
      for (const event of ['toString', '__proto__', 'constructor', ''])
        t.equal(stepOf(side, name as never, event), undefined, event)

      if (FINAL[side].includes(name)) {
        t.same(phase.on, {}, 'a final phase has no steps')
        t.equal(phase.deadline, undefined)
      } else {
        for (const event of ['eof', 'invalid']) t.ok(event in phase.on, `${event} is provided for`)
        t.equal(
          'silence' in phase.on,
          phase.deadline !== undefined,
          'silence needs a deadline, and a deadline ends in silence',
        )
        t.ok(
          FINAL[side].some((end) => reachableFrom(side, name).has(end)),
          'an end can be reached',
        )
      }
    })
  }

  t.test(`every phase of the ${side} can be reached, and every message for it is heard somewhere`, async (t) => {
    const reached = reachableFrom(side, START)
    t.same(
      phasesOf(side)
        .map(([name]) => name)
        .filter((name) => !reached.has(name)),
      [],
    )
    const heard = new Set(phasesOf(side).flatMap(([, phase]) => Object.keys(phase.on)))
    t.same(
      heardBy(side).filter((kind) => !heard.has(kind)),
      [],
    )
  })
}

function reachableFrom(side: Side, start: string): Set<string> {
  const reached = new Set([start])
  for (const name of reached) for (const { to } of Object.values(tables[side][name]!.on)) reached.add(to)
  return reached
}

for (const side of SIDES) {
  t.test(`what follows: the table of the ${side}`, async (t) => {
    const table: Readonly<Record<string, Phase>> = FOLLOWING[side]
    const heard = FOLLOW.filter((kind) => TRANSFER[kind as keyof typeof TRANSFER].from === otherOf(side))
    const own = ['sent', 'failed', 'finished', 'yielded']
    const reached = new Set([Object.keys(table)[0]!])
    for (const name of reached) for (const { to } of Object.values(table[name]!.on)) reached.add(to)
    t.same([...reached].sort(), Object.keys(table).sort(), 'every phase can be reached, and is there')
    for (const [name, { on, deadline }] of Object.entries(table)) {
      for (const event of [...Object.keys(TRANSFER), ...own, ...LOST, 'constructor'])
        t.same(followingStepOf(side, name as never, event), Object.hasOwn(on, event) ? on[event] : undefined)
      t.same(
        Object.keys(on).filter((event) => ![...heard, ...own, ...LOST].includes(event)),
        [],
        'there is no other event',
      )
      t.equal('silence' in on, deadline !== undefined, `${name}: silence needs a deadline`)
      for (const { fence } of Object.values(on)) {
        t.not(fence, 'dead', 'nobody is killed')
        if (fence === 'claim') t.ok('yielded' in on, `${name}: a claim may find no token`)
      }
    }
    for (const kind of heard)
      t.ok(
        Object.values(table).some(({ on }) => kind in on),
        `${kind} is heard`,
      )
  })
}

t.test('who owns: the predecessor before and after, the successor only at the end, never both at rest', async (t) => {
  const owners = (side: Side): string[] =>
    phasesOf(side)
      .filter(([, phase]) => phase.owns)
      .map(([name]) => name)
  t.same(owners('predecessor'), ['check', 'copy', 'thawed'])
  t.same(owners('successor'), ['active'])
})

/** What is wrong with a state, or with the way into it. */
function flawOf(state: State, table: Tables, wasKilled: boolean): string | undefined {
  const { predecessor, successor, everOwned } = state
  const ours = owns(table, predecessor, 'predecessor')
  const theirs = owns(table, successor, 'successor')
  if (ours && theirs) return 'both own'
  if (ours && everOwned) return 'the predecessor owns again what the successor has read'
  if (wasKilled) return 'a fence killed an owner'
  if (theirs && !state.complete) return 'the successor owns what it has not got'
  return undefined
}

/** What is wrong with a state in which nothing more will happen by itself. */
function flawOfEnd(state: State, table: Tables): string | undefined {
  const { predecessor, successor, everOwned, ownerKilled, complete, disturbed } = state
  const ours = owns(table, predecessor, 'predecessor')
  const theirs = owns(table, successor, 'successor')
  for (const side of SIDES) {
    const { alive, phase, doing } = state[side]
    const isOver = FINAL[side].includes(phase) && doing === undefined
    // After "active" was lost with the channel the predecessor waits, frozen, until the successor or the supervisor ends it.
    if (alive && !isOver && !(side === 'predecessor' && theirs && disturbed)) return `the ${side} is stuck in ${phase}`
  }
  if (predecessor.alive && !everOwned && !ours) return 'the predecessor lives and has given up what nobody took'
  if (everOwned && !theirs && !ownerKilled) return 'the successor has given up what it took'
  if (!predecessor.alive && successor.alive && complete && !disturbed && !ownerKilled && !theirs)
    return 'the successor has everything and does not go on'
  return undefined
}

interface Exploration {
  readonly states: number
  readonly ends: Set<string>
  readonly flaw?: string
}

function explore(faults: number, table: Tables = PHASES): Exploration {
  const start = initial(faults)
  const cameFrom = new Map<string, [from: string, by: string] | undefined>([[keyOf(start), undefined]])
  const ends = new Set<string>()
  let edge: State[] = [start]
  while (edge.length > 0) {
    const next: State[] = []
    for (const state of edge) {
      const key = keyOf(state)
      const transitions = transitionsOf(state, table)
      if (transitions.every(({ isFault }) => isFault)) {
        ends.add(endOf(state))
        const flaw = flawOfEnd(state, table)
        if (flaw !== undefined) return { states: cameFrom.size, ends, flaw: `${flaw}: ${trace(key)}` }
      }
      for (const { name, next: after } of transitions) {
        const afterKey = keyOf(after)
        const flaw = flawOf(after, table, name.endsWith(' kills') && after.ownerKilled && !state.ownerKilled)
        if (flaw !== undefined) return { states: cameFrom.size, ends, flaw: `${flaw}: ${trace(key)} → ${name}` }
        if (cameFrom.has(afterKey)) continue
        cameFrom.set(afterKey, [key, name])
        next.push(after)
      }
    }
    edge = next
  }
  return { states: cameFrom.size, ends }

  function trace(key: string): string {
    const names: string[] = []
    for (let from = cameFrom.get(key); from !== undefined; from = cameFrom.get(from[0])) names.unshift(from[1])
    return names.join(' → ')
  }
}

const keyOf = (state: State): string => JSON.stringify(state)

function endOf(state: State): string {
  return SIDES.map((side) => (state[side].alive ? state[side].phase : 'dead')).join(' + ')
}

t.test('left alone, a transfer is made or refused or fails, and all is well', async (t) => {
  const { flaw, ends } = explore(0)
  t.equal(flaw, undefined)
  t.ok(ends.has('drain + active'))
  t.ok(ends.has('thawed + aborted'))
  t.ok(ends.has('thawed + dead'), 'a deadline passed, and the fence killed')
})

t.test(
  'with any three of: a kill at any moment, the channel cut, garbage; at most one owner, and one at the end',
  async (t) => {
    const { flaw, states, ends } = explore(3)
    t.equal(flaw, undefined)
    t.ok(states > 5000, `${states} states`)
    t.ok(ends.has('dead + active'), 'the successor goes on alone')
    t.ok(ends.has('thawed + dead'), 'so does the predecessor')
    t.ok(ends.has('dead + dead'))
  },
)

t.test('it always ends: no state comes again', async (t) => {
  t.equal(cycleIn(1), undefined)
})

function cycleIn(faults: number): string | undefined {
  const state = new Map<string, 'open' | 'done'>()
  const stack: { key: string; left: { name: string; next: State }[] }[] = []
  const enter = (at: State): void => {
    const key = keyOf(at)
    state.set(key, 'open')
    stack.push({ key, left: transitionsOf(at) })
  }
  enter(initial(faults))
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const transition = top.left.pop()
    if (transition === undefined) {
      state.set(top.key, 'done')
      stack.pop()
      continue
    }
    const known = state.get(keyOf(transition.next))
    if (known === 'open') return transition.name
    if (known === undefined) enter(transition.next)
  }
  return undefined
}

/** The tables with one step changed: what the model is worth. */
function changed(
  side: Side,
  phase: string,
  event: string,
  step: { to: string; fence?: 'dead' | 'token' } | undefined,
): Tables {
  const copy = structuredClone(PHASES) as unknown as Record<Side, Record<string, { on: Record<string, unknown> }>>
  if (step === undefined) delete copy[side][phase]!.on[event]
  else copy[side][phase]!.on[event] = step
  return copy as unknown as Tables
}

const UNSAFE = /^both own|^the predecessor owns again|^a fence killed an owner/

function finds(t: Test, table: Tables, flaw: RegExp): void {
  t.match(explore(1, table).flaw, flaw)
}

t.test('the model finds what is wrong when the tables are', async (t) => {
  finds(t, changed('predecessor', 'vote', 'silence', { to: 'thawed' }), UNSAFE)
  finds(t, changed('predecessor', 'commit', 'silence', { to: 'thawed' }), UNSAFE)
  finds(t, changed('predecessor', 'agree', 'overruled', { to: 'thawed' }), UNSAFE)
  finds(t, changed('successor', 'vote', 'silence', { to: 'active' }), UNSAFE)
  finds(t, changed('successor', 'vote', 'commit', { to: 'active' }), UNSAFE)
  finds(t, changed('successor', 'vote', 'eof', { to: 'aborted' }), /^the successor has everything and does not go on/)
  for (const phase of ['copy', 'transfer'])
    finds(
      t,
      changed('successor', phase, 'silence', { to: 'active', fence: 'dead' }),
      /^the successor owns what it has not got|^a fence killed an owner/,
    )
  finds(t, changed('predecessor', 'copy', 'refuse', { to: 'drain' }), /^the predecessor lives and has given up/)
  finds(
    t,
    changed('predecessor', 'commit', 'yielded', undefined),
    /^the predecessor is stuck in commit|^the predecessor owns again/,
  )
  finds(t, changed('predecessor', 'yield', 'active', { to: 'thawed' }), UNSAFE)
  finds(t, changed('predecessor', 'vote', 'refuse', { to: 'drain' }), /^the predecessor lives and has given up/)
})
