/** Each property can fail: a protocol with one thing wrong has a counterexample, and it is that property's. */
import t from 'tap'
import { PHASES, type Side, type Step } from '../../src/transfer/phases.js'
import type { Table } from './promela.js'
import { modelSource, skip, verifierFor, type World } from './spin.js'

interface Mutation {
  readonly table?: Table
  /** In the hand-written part: this text, which is there once, becomes that. */
  readonly source?: readonly [from: string, to: string][]
  readonly world?: World
  readonly property: string
  readonly error: RegExp
}

const WORLD: World = { faults: 1, sessions: 1, bytes: 1 }
const NO_FAULT: World = { faults: 0, sessions: 1, bytes: 1 }
const VIOLATED = /^assertion violated/
const NEVER_ENDS = /^acceptance cycle/
/** The assertion where a side begins to read. */
const BYTE_LOST = /^assertion violated \(\(\(side\[\d\]\.has\[0\]==live\[0\]\)/

/** The table with one phase's rows changed. */
function tableWith(side: Side, phase: string, change: Record<string, Step | undefined>, owns?: boolean): Table {
  const table = structuredClone(PHASES) as unknown as Record<
    Side,
    Record<string, { owns: boolean; on: Record<string, Step> }>
  >
  const row = table[side][phase]!
  for (const [event, step] of Object.entries(change)) {
    if (row.on[event] === undefined) throw new Error(`${side} ${phase} has no ${event}`)
    if (step === undefined) delete row.on[event]
    else row.on[event] = step
  }
  row.owns = owns ?? row.owns
  return table as unknown as Table
}

const thawed = { to: 'thawed' }
const active = { to: 'active' }

const mutations: Record<string, Mutation> = {
  'the predecessor thaws without a fence while the successor votes': {
    table: tableWith('predecessor', 'vote', { eof: thawed, silence: thawed, invalid: thawed, failed: thawed }),
    property: 'safe',
    error: BYTE_LOST,
  },
  'the predecessor thaws without a fence after it has said commit': {
    table: tableWith('predecessor', 'commit', { eof: thawed, silence: thawed, invalid: thawed, failed: thawed }),
    property: 'one_reader',
    error: VIOLATED,
  },
  'a predecessor that is overruled thaws without a fence': {
    table: tableWith('predecessor', 'agree', { overruled: thawed }),
    property: 'safe',
    error: BYTE_LOST,
  },
  'the successor goes on after silence without a fence': {
    table: tableWith('successor', 'vote', { silence: active }),
    property: 'safe',
    error: VIOLATED,
  },
  'the successor becomes active without the token': {
    table: tableWith('successor', 'vote', { commit: active }),
    property: 'safe',
    error: BYTE_LOST,
  },
  'the predecessor reads until the vote': {
    table: tableWith('predecessor', 'vote', {}, true),
    property: 'safe',
    error: VIOLATED,
  },
  'the successor goes on without a manifest': {
    table: tableWith('successor', 'transfer', { eof: { to: 'active', fence: 'dead' } }),
    property: 'safe',
    error: VIOLATED,
  },
  'the predecessor gives up when the successor that took the token dies': {
    table: tableWith('predecessor', 'yield', { eof: { to: 'drain' } }),
    property: 'kept',
    error: VIOLATED,
  },
  'the successor aborts when the predecessor dies after its manifest': {
    table: tableWith('successor', 'vote', { eof: { to: 'aborted' } }),
    property: 'kept',
    error: VIOLATED,
  },
  'the predecessor that found no token does not look for the end': {
    table: tableWith('predecessor', 'yield', { eof: undefined }),
    property: 'ends',
    error: NEVER_ENDS,
  },
  'both have a token': {
    source: [['ours = ours || token; token = false', 'ours = true']],
    property: 'kept',
    error: VIOLATED,
  },
  'the successor reads before it says active': {
    source: [
      [
        '      /* Said before the first byte is read.',
        '      begin_reading(S);\n      if :: usable(S, 0) -> use(S, 0) :: else fi;\n      /* Said before the first byte is read.',
      ],
    ],
    property: 'safe',
    error: BYTE_LOST,
  },
  'the successor never says active': {
    source: [['inbox[P]!e_active, 0, 0; told = true', 'told = true']],
    world: NO_FAULT,
    property: 'ends',
    error: NEVER_ENDS,
  },
  'the manifest overtakes the last batch': {
    source: [['phase[P] == p_transfer && all_given && room(P)', 'phase[P] == p_transfer && room(P)']],
    world: NO_FAULT,
    property: 'commits',
    error: NEVER_ENDS,
  },
  'the same, and the successor does not compare the manifest': {
    source: [
      ['phase[P] == p_transfer && all_given && room(P)', 'phase[P] == p_transfer && room(P)'],
      ['a != side[S].has[0] + side[S].has[1] || b != its(0) * 8 + its(1)', 'false'],
    ],
    world: NO_FAULT,
    property: 'safe',
    error: BYTE_LOST,
  },
  'active into a channel that was shut down counts as said': {
    source: [[':: !reachable(S) -> ensure_dead(S)', ':: !reachable(S)']],
    property: 'ends',
    error: NEVER_ENDS,
  },
  'behind garbage nothing is understood any more': {
    source: [
      ['bool cut; ', 'bool spoiled; bool cut; '],
      [
        'nempty(inbox[P]) -> inbox[P]?event, a, b;',
        'nempty(inbox[P]) -> inbox[P]?event, a, b; spoiled = spoiled || event == e_garbage; event = (spoiled -> e_invalid : event);',
      ],
    ],
    property: 'ends',
    error: NEVER_ENDS,
  },
}

for (const [name, { table = PHASES, source = [], world = WORLD, property, error }] of Object.entries(mutations)) {
  t.test(name, { skip }, (t) => {
    let mutated = modelSource()
    for (const [from, to] of source) {
      t.equal(mutated.split(from).length, 2, `${JSON.stringify(from)} is in the model, once`)
      mutated = mutated.replace(from, to)
    }
    const found = verifierFor(t, table, world, mutated).check(property)
    t.match(found.error, error, `${property} has a counterexample`)
    t.end()
  })
}
